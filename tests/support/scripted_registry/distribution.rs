//! The registry behind the faults: OCI distribution 1.1 without ranges, mounts and referrers.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::Method;
use countersign::model::Digest;
use url::form_urlencoded;

use super::{Answer, Asked, World, tokens};

pub fn answer(world: &World, asked: &Asked) -> Answer {
    if asked.path == "/token" {
        return tokens::token(world, asked);
    }
    let Some((repository, place)) = split(&asked.path) else { return error(404, "NOT_FOUND") };
    let action = match asked.method {
        Method::GET | Method::HEAD => "pull",
        Method::DELETE => "delete",
        _ => "push",
    };
    if let Some(refusal) = tokens::refusal(world, &asked.headers, repository, action) {
        return refusal;
    }
    let repository = repository.to_owned();
    match (asked.method.as_str(), place) {
        ("GET" | "HEAD", Place::Manifest(reference)) => {
            read_manifest(world, &repository, reference)
        }
        ("PUT", Place::Manifest(reference)) => write_manifest(world, asked, &repository, reference),
        ("DELETE", Place::Manifest(reference)) => delete(world, &repository, reference),
        ("GET" | "HEAD", Place::Blob(digest)) => {
            let content = world.content.lock().unwrap();
            match content.blobs.get(&(repository, digest.to_owned())) {
                Some(blob) => {
                    with(200, [("docker-content-digest", digest.to_owned())], blob.clone())
                }
                None => error(404, "BLOB_UNKNOWN"),
            }
        }
        ("GET", Place::Tags) => tags(world, asked, &repository),
        ("POST", Place::Upload("")) => begin_upload(world, asked, &repository),
        ("PUT", Place::Upload(id)) => {
            if world.content.lock().unwrap().uploads.remove(id).is_none() {
                return error(404, "BLOB_UPLOAD_UNKNOWN");
            }
            write_blob(world, asked, &repository)
        }
        _ => error(405, "UNSUPPORTED"),
    }
}

enum Place<'a> {
    Blob(&'a str),
    Manifest(&'a str),
    Tags,
    Upload(&'a str),
}

fn split(path: &str) -> Option<(&str, Place<'_>)> {
    let rest = path.strip_prefix("/v2/")?;
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return Some((name, Place::Tags));
    }
    if let Some((name, id)) = rest.split_once("/blobs/uploads/") {
        return Some((name, Place::Upload(id)));
    }
    if let Some((name, digest)) = rest.split_once("/blobs/") {
        return Some((name, Place::Blob(digest)));
    }
    let (name, reference) = rest.split_once("/manifests/")?;
    Some((name, Place::Manifest(reference)))
}

fn read_manifest(world: &World, repository: &str, reference: &str) -> Answer {
    let content = world.content.lock().unwrap();
    let tagged = content.tags.get(&(repository.to_owned(), reference.to_owned()));
    let digest = tagged.cloned().unwrap_or_else(|| reference.to_owned());
    let Some((media_type, bytes)) = content.manifests.get(&(repository.to_owned(), digest.clone()))
    else {
        return error(world.options.missing, "MANIFEST_UNKNOWN");
    };
    let mut answer = with(200, [("content-type", media_type.clone())], bytes.clone());
    if world.options.names_digests {
        answer.headers.push(("docker-content-digest", digest.clone()));
    }
    if world.options.conditions {
        answer.headers.push(("etag", format!("\"{digest}\"")));
    }
    answer
}

fn write_manifest(world: &World, asked: &Asked, repository: &str, reference: &str) -> Answer {
    let mut content = world.content.lock().unwrap();
    let digest = Digest::of(&asked.body).to_string();
    let is_tag = !reference.contains(':');
    let key = (repository.to_owned(), reference.to_owned());
    let before = content.tags.get(&key).cloned();
    if is_tag && before.is_some() && world.options.immutable_tags {
        return error(400, "TAG_INVALID");
    }
    if world.options.conditions {
        let header = |name: &str| asked.headers.get(name).and_then(|it| it.to_str().ok());
        let now = before.map(|it| format!("\"{it}\""));
        if header("if-none-match") == Some("*") && now.is_some()
            || header("if-match").is_some_and(|it| Some(it) != now.as_deref())
        {
            return error(412, "PRECONDITION_FAILED");
        }
    }
    if !is_tag && reference != digest {
        return error(400, "DIGEST_INVALID");
    }
    let media_type = asked.headers.get("content-type").and_then(|it| it.to_str().ok());
    let kept = (media_type.unwrap_or_default().to_owned(), asked.body.clone());
    content.manifests.insert((repository.to_owned(), digest.clone()), kept);
    if is_tag {
        content.tags.insert(key, digest.clone());
    }
    with(201, [("docker-content-digest", digest)], Bytes::new())
}

fn delete(world: &World, repository: &str, reference: &str) -> Answer {
    if !world.options.deletes {
        return error(405, "UNSUPPORTED");
    }
    let mut content = world.content.lock().unwrap();
    if content.manifests.remove(&(repository.to_owned(), reference.to_owned())).is_none() {
        return error(404, "MANIFEST_UNKNOWN");
    }
    content
        .tags
        .retain(|(in_repository, _), digest| in_repository != repository || digest != reference);
    with(202, [], Bytes::new())
}

fn tags(world: &World, asked: &Asked, repository: &str) -> Answer {
    let content = world.content.lock().unwrap();
    let query = query(asked);
    let last = query.get("last").cloned().unwrap_or_default();
    let all = content.tags.keys().filter(|(name, _)| name == repository).map(|(_, tag)| tag);
    let mut after: Vec<_> = all.filter(|it| **it > last).cloned().collect();
    if after.is_empty()
        && last.is_empty()
        && !content.manifests.keys().any(|(it, _)| it == repository)
    {
        return error(404, "NAME_UNKNOWN");
    }
    let asked_for = query.get("n").and_then(|it| it.parse().ok()).unwrap_or(usize::MAX);
    let page = if world.options.page == 0 { asked_for } else { world.options.page.min(asked_for) };
    let more = after.len() > page;
    after.truncate(page);
    let body = serde_json::json!({ "name": repository, "tags": after }).to_string();
    let mut answer = with(200, [("content-type", "application/json".to_owned())], body.into());
    if let Some(last) = after.last().filter(|_| more && world.options.links) {
        let link = format!("</v2/{repository}/tags/list?n={page}&last={last}>; rel=\"next\"");
        answer.headers.push(("link", link));
    }
    answer
}

fn begin_upload(world: &World, asked: &Asked, repository: &str) -> Answer {
    if world.options.single_post && query(asked).contains_key("digest") {
        return write_blob(world, asked, repository);
    }
    let mut content = world.content.lock().unwrap();
    content.next_upload += 1;
    let id = format!("upload-{}", content.next_upload);
    content.uploads.insert(id.clone(), repository.to_owned());
    let origin = if world.options.relative_location { "" } else { world.origin.as_str() };
    let location = format!("{origin}/v2/{repository}/blobs/uploads/{id}?_state=a%2Bb%3D");
    with(202, [("location", location)], Bytes::new())
}

fn write_blob(world: &World, asked: &Asked, repository: &str) -> Answer {
    let query = query(asked);
    let digest = Digest::of(&asked.body).to_string();
    if asked.method == Method::PUT && query.get("_state").is_none_or(|it| it != "a+b=") {
        return error(400, "BLOB_UPLOAD_INVALID");
    }
    if query.get("digest") != Some(&digest) {
        return error(400, "DIGEST_INVALID");
    }
    let key = (repository.to_owned(), digest.clone());
    world.content.lock().unwrap().blobs.insert(key, asked.body.clone());
    with(201, [("docker-content-digest", digest)], Bytes::new())
}

fn query(asked: &Asked) -> BTreeMap<String, String> {
    form_urlencoded::parse(asked.query.as_bytes()).into_owned().collect()
}

fn with<const N: usize>(status: u16, headers: [(&'static str, String); N], body: Bytes) -> Answer {
    Answer { status, headers: headers.into(), body }
}

fn error(status: u16, code: &str) -> Answer {
    let body = format!(r#"{{"errors":[{{"code":"{code}","message":"scripted"}}]}}"#);
    with(status, [("content-type", "application/json".to_owned())], body.into())
}
