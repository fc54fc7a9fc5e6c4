//! A registry that has a good signature for every digest that it is asked for.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use countersign::crypto::{Hash, PrivateKey};
use countersign::model::{Annotations, Descriptor, Digest, media_type};
use countersign::payload::{Addition, Carrier, SimpleSigning, annotation};

struct Registry {
    key: PrivateKey,
    host: String,
    delay: Duration,
}

/// Serves until it is killed. Writes the public key into `folder`, and its address to stdout.
pub(crate) fn serve(folder: &Path, delay: Duration) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let key = PrivateKey::generate_p256().unwrap();
        std::fs::write(folder.join("release.pub"), key.public_key().to_pem()).unwrap();
        println!("{host}");
        let registry = Arc::new(Registry { key, host, delay });
        let router = axum::Router::new().fallback(answer).with_state(registry);
        axum::serve(listener, router).await.unwrap();
    });
}

async fn answer(
    State(registry): State<Arc<Registry>>,
    uri: Uri,
) -> Result<(HeaderMap, Vec<u8>), StatusCode> {
    tokio::time::sleep(registry.delay).await;
    let path = uri.path().strip_prefix("/v2/").ok_or(StatusCode::NOT_FOUND)?;
    let (repository, tag) = path.split_once("/manifests/").ok_or(StatusCode::NOT_FOUND)?;
    let hex = tag.strip_prefix("sha256-").and_then(|it| it.strip_suffix(".sig"));
    let digest = hex.and_then(|it| format!("sha256:{it}").parse::<Digest>().ok());
    let digest = digest.ok_or(StatusCode::NOT_FOUND)?;
    let payload = SimpleSigning {
        identity: &format!("{}/{repository}", registry.host),
        digest: &digest,
        annotations: &Annotations::new(),
    };
    let payload = payload.to_bytes();
    let signature = registry.key.sign(&payload, Hash::Sha256).unwrap().to_base64();
    let addition = Addition {
        payload: Descriptor::of(media_type::SIMPLE_SIGNING, &payload),
        annotations: Annotations::from([(annotation::SIGNATURE.to_owned(), signature)]),
    };
    let manifest = Carrier::empty().edit(&[], vec![addition]).to_bytes().manifest;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, media_type::OCI_MANIFEST.parse().unwrap());
    let digest = Digest::of(&manifest).to_string();
    headers.insert("docker-content-digest", digest.parse().unwrap());
    Ok((headers, manifest))
}
