//! Reading: manifests and blobs, checked against what was asked for.

use std::path::Path;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderValue};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Map;

use crate::model::{Descriptor, Digest, Locator, RemoteRepository, media_type};
use crate::store::remote::Shared;
use crate::store::remote::answer::Answer;
use crate::store::remote::auth::Access;
use crate::store::remote::failure::{self, Failure, Purpose};
use crate::store::remote::file;
use crate::store::remote::host::Request;
use crate::store::remote::session::{Call, Redirects, call};
use crate::store::{Fetched, StoreErrorKind};

/// Every kind of manifest that can be signed, so that none is converted on the way.
const MANIFESTS: HeaderValue = HeaderValue::from_static(
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json",
);

/// Tells what `locator` names: one HEAD, and a GET only where that does not say enough.
pub(super) async fn resolve(
    shared: &Shared,
    repository: &RemoteRepository,
    locator: &Locator,
) -> Result<Descriptor, Failure> {
    let told = match ask_manifest(shared, repository, locator, Method::HEAD).await {
        Ok(answer) => told_by_head(&answer, locator)?,
        // Some take no HEAD; and what is wrong stands in a body, which HEAD has not.
        Err(failure) if failure.kind == StoreErrorKind::Refused => None,
        Err(failure) => return Err(failure),
    };
    match told {
        Some(descriptor) => Ok(descriptor),
        None => Ok(manifest(shared, repository, locator).await?.descriptor),
    }
}

/// Reads a manifest.
pub(super) async fn manifest(
    shared: &Shared,
    repository: &RemoteRepository,
    locator: &Locator,
) -> Result<Fetched, Failure> {
    let answer = ask_manifest(shared, repository, locator, Method::GET).await?;
    let digest = match (locator, named_digest(&answer)) {
        (Locator::Digest(digest), _) => digest.clone(),
        (Locator::Tag(_), Some(named)) => named,
        (Locator::Tag(_), None) => Digest::of(&answer.body),
    };
    if !digest.matches(&answer.body) {
        return Err(wrong_digest(&answer, &digest));
    }
    let media_type = media_type_of(&answer)?;
    let version = answer.etag().map(str::to_owned);
    let size = u64::try_from(answer.body.len()).unwrap_or(u64::MAX);
    let descriptor = descriptor(media_type, size, digest);
    Ok(Fetched { descriptor, bytes: answer.body, version })
}

/// Reads a blob. It may come from another host, which sees no credentials.
pub(super) async fn blob(
    shared: &Shared,
    repository: &RemoteRepository,
    descriptor: &Descriptor,
) -> Result<Bytes, Failure> {
    let largest = shared.options.largest_blob;
    if descriptor.size > largest {
        let detail = format!("{} bytes are more than {largest}", descriptor.size);
        return Err(Failure::new(StoreErrorKind::TooLarge, detail));
    }
    let answer = ask_blob(shared, repository, descriptor, None).await?;
    if !descriptor.digest.matches(&answer.body) {
        return Err(wrong_digest(&answer, &descriptor.digest));
    }
    Ok(answer.body)
}

/// Reads a blob of any size into a file.
pub(super) async fn blob_to_file(
    shared: &Shared,
    repository: &RemoteRepository,
    descriptor: &Descriptor,
    path: &Path,
) -> Result<(), Failure> {
    ask_blob(shared, repository, descriptor, Some(path)).await?;
    file::check(path, descriptor).await
}

/// Says whether a blob is there; where the registry does not tell, it is not.
pub(super) async fn has_blob(
    shared: &Shared,
    repository: &RemoteRepository,
    digest: &Digest,
) -> Result<bool, Failure> {
    let url = shared.url(repository, &format!("blobs/{digest}"))?;
    let request = Request::new(Method::HEAD, url, 0);
    let redirects = Redirects::Anywhere;
    let answer =
        call(shared, Call { repository, access: Access::Push, request, redirects }).await?;
    if answer.status.as_u16() == 200 {
        return Ok(true);
    }
    let failure = failure::of_answer(&answer, Purpose::Read);
    if failure.kind.is_absent() || failure.kind == StoreErrorKind::Refused {
        return Ok(false);
    }
    Err(failure)
}

async fn ask_blob(
    shared: &Shared,
    repository: &RemoteRepository,
    descriptor: &Descriptor,
    into: Option<&Path>,
) -> Result<Answer, Failure> {
    let url = shared.url(repository, &format!("blobs/{}", descriptor.digest))?;
    let mut request = Request::new(Method::GET, url, descriptor.size);
    if let Some(path) = into {
        request.into = Some(path.into());
        request.timeout = Some(shared.options.request_timeout + file::patience(descriptor.size));
    }
    let redirects = Redirects::Anywhere;
    let call_ = Call { repository, access: Access::Pull, request, redirects };
    let answer = call(shared, call_).await.map_err(|failure| match failure.kind {
        StoreErrorKind::TooLarge => Failure::new(
            StoreErrorKind::WrongDigest,
            format!("it is longer than the {} bytes that its descriptor says", descriptor.size),
        ),
        _ => failure,
    })?;
    if answer.status.as_u16() != 200 {
        return Err(failure::of_answer(&answer, Purpose::Read));
    }
    Ok(answer)
}

/// Fails if the answer names another digest than `expected`.
pub(super) fn check_named_digest(answer: &Answer, expected: &Digest) -> Result<(), Failure> {
    match named_digest(answer) {
        Some(named) if named.algorithm() == expected.algorithm() && named != *expected => {
            let detail = format!("it stored {named} instead of {expected}");
            Err(Failure::new(StoreErrorKind::WrongDigest, detail))
        }
        _ => Ok(()),
    }
}

async fn ask_manifest(
    shared: &Shared,
    repository: &RemoteRepository,
    locator: &Locator,
    method: Method,
) -> Result<Answer, Failure> {
    let url = shared.url(repository, &format!("manifests/{locator}"))?;
    let mut request = Request::new(method, url, shared.options.largest_manifest);
    request.headers.insert(ACCEPT, MANIFESTS);
    let redirects = Redirects::SameOrigin;
    let answer =
        call(shared, Call { repository, access: Access::Pull, request, redirects }).await?;
    if answer.status.as_u16() != 200 {
        return Err(failure::of_answer(&answer, Purpose::Read));
    }
    if failure::is_html(&answer.headers) {
        return Err(web_page());
    }
    Ok(answer)
}

/// What a HEAD says, where it says everything.
fn told_by_head(answer: &Answer, locator: &Locator) -> Result<Option<Descriptor>, Failure> {
    let (Some(named), Some(size), Some(media_type)) =
        (named_digest(answer), answer.content_length(), answer.media_type())
    else {
        return Ok(None);
    };
    if !(media_type::is_index(media_type) || media_type::is_manifest(media_type)) {
        return Ok(None);
    }
    match locator {
        Locator::Digest(digest) if digest.algorithm() != named.algorithm() => Ok(None),
        Locator::Digest(digest) if *digest != named => {
            let detail = format!("asked for {digest} it names {named}");
            Err(Failure::new(StoreErrorKind::WrongDigest, detail))
        }
        _ => Ok(Some(descriptor(media_type.to_owned(), size, named))),
    }
}

fn named_digest(answer: &Answer) -> Option<Digest> {
    answer.header("docker-content-digest")?.trim().parse().ok()
}

fn descriptor(media_type: String, size: u64, digest: Digest) -> Descriptor {
    Descriptor {
        media_type,
        size,
        digest,
        annotations: None,
        platform: None,
        artifact_type: None,
        extra: Map::new(),
    }
}

fn wrong_digest(answer: &Answer, expected: &Digest) -> Failure {
    if failure::is_html(&answer.headers) {
        return web_page();
    }
    let found = Digest::with(expected.algorithm(), &answer.body);
    let detail = format!("the content is {found}, not {expected}");
    Failure::new(StoreErrorKind::WrongDigest, detail)
}

fn web_page() -> Failure {
    Failure::new(StoreErrorKind::InvalidAnswer, "it answers with a web page, not as a registry")
}

/// The members that tell an index from an image.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
}

/// What the manifest is, by its own word before the header's.
///
/// A document that can be read as an index and as an image is refused: two clients would see two
/// contents under one digest (CVE-2021-41190).
fn media_type_of(answer: &Answer) -> Result<String, Failure> {
    let wrong = |what: &str| Err(Failure::new(StoreErrorKind::InvalidAnswer, what));
    let Ok(shape) = serde_json::from_slice::<Shape>(&answer.body) else {
        return wrong("the manifest is not JSON");
    };
    let (index, image) =
        (shape.manifests.is_some(), shape.config.is_some() || shape.layers.is_some());
    if index && image {
        return wrong("the manifest can be read as an index and as an image");
    }
    let told = answer.media_type().filter(|it| !is_vague(it));
    let media_type = match (shape.media_type.as_deref().filter(|it| !it.is_empty()), told) {
        (Some(own), _) => own,
        (None, Some(told)) => told,
        (None, None) if index => media_type::OCI_INDEX,
        (None, None) if image => media_type::OCI_MANIFEST,
        (None, None) => return wrong("it does not say what kind of manifest this is"),
    };
    let is_at_odds =
        index && media_type::is_manifest(media_type) || image && media_type::is_index(media_type);
    if is_at_odds {
        return wrong("the manifest is of another kind than it says");
    }
    Ok(media_type.to_owned())
}

fn is_vague(media_type: &str) -> bool {
    matches!(media_type, "application/json" | "application/octet-stream" | "text/plain")
}
