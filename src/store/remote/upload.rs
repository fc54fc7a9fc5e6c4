//! Writing: blobs in one POST where the registry takes it, else POST and PUT; manifests; deletions.

use std::path::Path;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION,
};
use reqwest::{Method, StatusCode};
use url::Url;

use crate::model::{Descriptor, Digest, Locator, RemoteRepository};
use crate::store::remote::answer::Answer;
use crate::store::remote::auth::Access;
use crate::store::remote::failure::{self, Failure, Purpose};
use crate::store::remote::file::{self, Body};
use crate::store::remote::host::Request;
use crate::store::remote::session::{Call, Redirects, call, target};
use crate::store::remote::{Shared, content};
use crate::store::{Expected, Listed, Mounted, StoreErrorKind};

/// Answers to writes have next to no body.
const LARGEST_ANSWER: u64 = 1 << 20;

/// How often an upload that the registry lost is begun.
const UPLOADS: usize = 2;

/// Writes a blob: one request, or two.
///
/// Source: OCI distribution-spec 1.1, "Pushing a blob monolithically": "Registries that do not support
/// single request monolithic uploads SHOULD return a `202 Accepted`".
pub(super) async fn blob(
    shared: &Shared,
    repository: &RemoteRepository,
    content: Bytes,
) -> Result<Digest, Failure> {
    let digest = Digest::of(&content);
    let host = shared.registry(repository)?;
    let mut begun = 0;
    loop {
        let single = !host.no_single_post.load(Ordering::Relaxed);
        let mut url = shared.url(repository, "blobs/uploads/")?;
        if single {
            url.query_pairs_mut().append_pair("digest", &digest.to_string());
        }
        let body = if single { content.clone() } else { Bytes::new() };
        let answer = call(shared, write(repository, Method::POST, url.clone(), body)).await?;
        match answer.status {
            StatusCode::CREATED => {
                content::check_named_digest(&answer, &digest)?;
                return Ok(digest);
            }
            StatusCode::ACCEPTED => {
                if single {
                    host.no_single_post.store(true, Ordering::Relaxed);
                }
            }
            // Some refuse what they should answer with 202.
            _ => {
                let failure = refusal(&answer, Purpose::Write);
                if single && failure.kind == StoreErrorKind::Refused {
                    host.no_single_post.store(true, Ordering::Relaxed);
                    continue;
                }
                return Err(failure);
            }
        }
        begun += 1;
        let end = end_of_upload(&answer, &url, &digest)?;
        let answer = call(shared, write(repository, Method::PUT, end, content.clone())).await?;
        if answer.status.is_success() {
            content::check_named_digest(&answer, &digest)?;
            return Ok(digest);
        }
        let failure = refusal(&answer, Purpose::Write);
        // Where an answer was lost, the upload is done and its place is gone; else it was forgotten.
        if failure.kind != StoreErrorKind::NotFound || begun >= UPLOADS {
            return Err(failure);
        }
    }
}

/// Writes a blob that is in a file, in pieces: two requests.
pub(super) async fn blob_file(
    shared: &Shared,
    repository: &RemoteRepository,
    descriptor: &Descriptor,
    path: &Path,
) -> Result<(), Failure> {
    let mut begun = 0;
    loop {
        let url = shared.url(repository, "blobs/uploads/")?;
        let begin = write(repository, Method::POST, url.clone(), Bytes::new());
        let answer = call(shared, begin).await?;
        if answer.status != StatusCode::ACCEPTED {
            return Err(refusal(&answer, Purpose::Write));
        }
        begun += 1;
        let end = end_of_upload(&answer, &url, &descriptor.digest)?;
        let mut put = write(repository, Method::PUT, end, Bytes::new());
        put.request.headers.insert(CONTENT_LENGTH, descriptor.size.into());
        put.request.body = Some(Body::File(path.into()));
        put.request.timeout =
            Some(shared.options.request_timeout + file::patience(descriptor.size));
        let answer = call(shared, put).await?;
        if answer.status.is_success() {
            return content::check_named_digest(&answer, &descriptor.digest);
        }
        let failure = refusal(&answer, Purpose::Write);
        // Where an answer was lost, the upload is done and its place is gone; else it was forgotten.
        if failure.kind != StoreErrorKind::NotFound || begun >= UPLOADS {
            return Err(failure);
        }
    }
}

/// Mounts a blob of another repository of the same registry: one request.
///
/// A registry that does not want to begins an upload instead, which is left to run out.
///
/// Source: OCI distribution-spec 1.1, "Mounting a blob from another repository".
pub(super) async fn mount(
    shared: &Shared,
    repository: &RemoteRepository,
    digest: &Digest,
    from: &RemoteRepository,
) -> Result<Mounted, Failure> {
    let mut url = shared.url(repository, "blobs/uploads/")?;
    url.query_pairs_mut()
        .append_pair("mount", &digest.to_string())
        .append_pair("from", from.path());
    let answer = call(shared, write(repository, Method::POST, url, Bytes::new())).await?;
    Ok(if answer.status == StatusCode::CREATED { Mounted::Yes } else { Mounted::No })
}

/// Writes a manifest: one request.
pub(super) async fn manifest(
    shared: &Shared,
    repository: &RemoteRepository,
    locator: &Locator,
    media_type: &str,
    content: Bytes,
    expected: &Expected,
) -> Result<Digest, Failure> {
    let digest = match locator {
        Locator::Digest(digest) => digest.clone(),
        Locator::Tag(_) => Digest::of(&content),
    };
    put(shared, repository, locator, media_type, content, expected).await.map(|_| digest)
}

async fn put(
    shared: &Shared,
    repository: &RemoteRepository,
    locator: &Locator,
    media_type: &str,
    content: Bytes,
    expected: &Expected,
) -> Result<Answer, Failure> {
    let digest = match locator {
        Locator::Digest(digest) if !digest.matches(&content) => {
            return Err(Failure::new(
                StoreErrorKind::WrongDigest,
                "the content has another digest",
            ));
        }
        Locator::Digest(digest) => digest.clone(),
        Locator::Tag(_) => Digest::of(&content),
    };
    let host = shared.registry(repository)?;
    let url = shared.url(repository, &format!("manifests/{locator}"))?;
    let mut call_ = write(repository, Method::PUT, url, content);
    let media_type = HeaderValue::from_str(media_type)
        .map_err(|_| Failure::new(StoreErrorKind::Refused, "the media type cannot be sent"))?;
    call_.request.headers.insert(CONTENT_TYPE, media_type);
    let condition = match expected {
        Expected::Version(version) => {
            HeaderValue::from_str(version).ok().map(|version| (IF_MATCH, version))
        }
        // Asked only of registries that name versions: others may not know what to do with it.
        Expected::Absent if host.has_etags.load(Ordering::Relaxed) => {
            Some((IF_NONE_MATCH, HeaderValue::from_static("*")))
        }
        Expected::Absent | Expected::Anything => None,
    };
    let purpose = match (locator, &condition) {
        (Locator::Digest(_), _) => Purpose::Write,
        (Locator::Tag(_), Some(_)) => Purpose::TagIf,
        (Locator::Tag(_), None) => Purpose::Tag,
    };
    if let (Locator::Tag(_), Some((name, value))) = (locator, condition) {
        call_.request.headers.insert(name, value);
    }
    let answer = call(shared, call_).await?;
    if !answer.status.is_success() {
        return Err(refusal(&answer, purpose));
    }
    content::check_named_digest(&answer, &digest)?;
    Ok(answer)
}

/// Writes a manifest that has a subject, by digest: one request. Says whether the registry listed it.
///
/// Source: OCI distribution-spec 1.1, "Pushing Manifests with Subject": `OCI-Subject`.
pub(super) async fn referrer(
    shared: &Shared,
    repository: &RemoteRepository,
    media_type: &str,
    content: Bytes,
) -> Result<Listed, Failure> {
    let locator = Locator::Digest(Digest::of(&content));
    let anything = Expected::Anything;
    let answer = put(shared, repository, &locator, media_type, content, &anything).await?;
    let is_listed = answer.headers.contains_key("oci-subject");
    Ok(if is_listed { Listed::Said } else { Listed::Unsaid })
}

/// Deletes a manifest with every tag that names it, or a tag: one request. Absent is done.
pub(super) async fn delete(
    shared: &Shared,
    repository: &RemoteRepository,
    locator: &Locator,
) -> Result<(), Failure> {
    let url = shared.url(repository, &format!("manifests/{locator}"))?;
    let request = Request::new(Method::DELETE, url, LARGEST_ANSWER);
    let redirects = Redirects::SameOrigin;
    let answer =
        call(shared, Call { repository, access: Access::Delete, request, redirects }).await?;
    if answer.status.is_success() {
        return Ok(());
    }
    let failure = refusal(&answer, Purpose::Delete);
    if failure.kind.is_absent() { Ok(()) } else { Err(failure) }
}

fn write(repository: &RemoteRepository, method: Method, url: Url, body: Bytes) -> Call<'_> {
    let mut request = Request::new(method, url, LARGEST_ANSWER);
    let media_type = HeaderValue::from_static("application/octet-stream");
    request.headers.insert(CONTENT_TYPE, media_type);
    if body.is_empty() {
        request.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    request.body = Some(Body::Bytes(body));
    Call { repository, access: Access::Push, request, redirects: Redirects::SameOrigin }
}

/// Where the content goes: what the registry named, its query kept, and the digest.
fn end_of_upload(answer: &Answer, url: &Url, digest: &Digest) -> Result<Url, Failure> {
    let location = answer.headers.get(LOCATION).and_then(|it| it.to_str().ok());
    let location = location.ok_or_else(|| {
        Failure::new(StoreErrorKind::InvalidAnswer, "it does not say where the upload goes on")
    })?;
    let mut end = target(url, location)?;
    end.query_pairs_mut().append_pair("digest", &digest.to_string());
    Ok(end)
}

fn refusal(answer: &Answer, purpose: Purpose) -> Failure {
    if answer.status.is_success() {
        let detail = format!("{} is no answer to this", answer.status.as_u16());
        return Failure::new(StoreErrorKind::InvalidAnswer, detail);
    }
    failure::of_answer(answer, purpose)
}
