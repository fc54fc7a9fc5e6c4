//! Small real images, made in memory: pushed to a registry or written as an OCI layout. No network, no daemon.
//!
//! Digests and bytes are computed here, not by the crate under test.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::{fmt::Write as _, fs};

use futures::stream::{self, StreamExt};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::docker_registry::{Access, DockerRegistry, Transport, USER};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// The media type of a child that no signer knows.
pub const UNKNOWN: &str = "application/vnd.example.unknown.v1+json";

/// A manifest with all that it points to.
#[derive(Clone, Debug)]
pub struct Image {
    /// What a descriptor of it says.
    pub media_type: &'static str,
    /// Its bytes; their digest is the image's.
    pub manifest: Vec<u8>,
    /// Configuration and layers.
    pub blobs: Vec<Vec<u8>>,
    /// For an index: its entries, in order.
    pub children: Vec<Image>,
    /// `platform` and `annotations` of its descriptor in an index.
    entry: Value,
}

impl Image {
    /// An OCI image of one layer for linux/amd64; another `name` is another digest.
    pub fn oci(name: &str) -> Self {
        Self::for_platform(name, "linux", "amd64")
    }

    /// The same for a platform.
    pub fn for_platform(name: &str, os: &str, architecture: &str) -> Self {
        let layer = layer(name);
        let config = configuration(name, os, architecture, &layer);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        });
        Self {
            media_type: OCI_MANIFEST,
            manifest: bytes(&manifest),
            blobs: vec![config, layer],
            children: Vec::new(),
            entry: json!({ "platform": { "architecture": architecture, "os": os } }),
        }
    }

    /// A Docker image, manifest version 2, schema 2.
    pub fn docker(name: &str) -> Self {
        let layer = layer(name);
        let config = configuration(name, "linux", "amd64", &layer);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": DOCKER_MANIFEST,
            "config": descriptor("application/vnd.docker.container.image.v1+json", &config),
            "layers": [descriptor("application/vnd.docker.image.rootfs.diff.tar", &layer)],
        });
        Self {
            media_type: DOCKER_MANIFEST,
            manifest: bytes(&manifest),
            blobs: vec![config, layer],
            children: Vec::new(),
            entry: json!({ "platform": { "architecture": "amd64", "os": "linux" } }),
        }
    }

    /// An index of `children`.
    pub fn index(children: Vec<Self>) -> Self {
        let entries: Vec<Value> = children.iter().map(Self::descriptor).collect();
        let manifest = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
        Self {
            media_type: OCI_INDEX,
            manifest: bytes(&manifest),
            blobs: Vec::new(),
            children,
            entry: json!({}),
        }
    }

    /// What `docker buildx build --platform linux/amd64,linux/arm64` pushes: two images, each with an attestation manifest.
    pub fn multi_platform(name: &str) -> Self {
        let images = ["amd64", "arm64"].map(|it| Self::for_platform(name, "linux", it));
        let attestations = images.each_ref().map(Self::attestation);
        Self::index(images.into_iter().chain(attestations).collect())
    }

    /// An index in an index, `depth` indexes in all, around one image.
    pub fn nested(name: &str, depth: usize) -> Self {
        (0..depth).fold(Self::oci(name), |inner, _| Self::index(vec![inner]))
    }

    /// An index of an image and of something whose media type ([`UNKNOWN`]) says nothing to a signer.
    ///
    /// The bytes of that child are an OCI manifest, because docker-registry stores nothing else.
    pub fn with_unknown_child(name: &str) -> Self {
        let mut unknown = Self::oci(&format!("{name}, unknown"));
        unknown.media_type = UNKNOWN;
        Self::index(vec![Self::oci(name), unknown])
    }

    /// The attestation manifest that buildx makes for this image.
    ///
    /// Source: buildkit, docs/attestations/attestation-storage.md.
    pub fn attestation(&self) -> Self {
        let digest = self.digest();
        let statement = bytes(&json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": "https://slsa.dev/provenance/v0.2",
            "subject": [{ "name": "image", "digest": { "sha256": hex_of(&digest) } }],
            "predicate": { "buildType": "https://mobyproject.org/buildkit@v1" },
        }));
        let config = configuration(&digest, "unknown", "unknown", &statement);
        let mut layer = descriptor("application/vnd.in-toto+json", &statement);
        layer["annotations"] =
            json!({ "in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2" });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [layer],
        });
        Self {
            media_type: OCI_MANIFEST,
            manifest: bytes(&manifest),
            blobs: vec![config, statement],
            children: Vec::new(),
            entry: json!({
                "annotations": {
                    "vnd.docker.reference.digest": digest,
                    "vnd.docker.reference.type": "attestation-manifest",
                },
                "platform": { "architecture": "unknown", "os": "unknown" },
            }),
        }
    }

    /// `sha256:<hex>`.
    pub fn digest(&self) -> String {
        digest(&self.manifest)
    }

    /// How an index names it.
    pub fn descriptor(&self) -> Value {
        let mut descriptor = descriptor(self.media_type, &self.manifest);
        for (key, value) in self.entry.as_object().into_iter().flatten() {
            descriptor[key] = value.clone();
        }
        descriptor
    }

    /// It and all below it, children before their index.
    pub fn all(&self) -> Vec<&Self> {
        let mut found: Vec<&Self> = self.children.iter().flat_map(Self::all).collect();
        found.push(self);
        found
    }
}

/// Writes `images`, each under its tag, as an OCI image layout in `folder`.
///
/// Source: OCI image-spec 1.1, image-layout.md.
pub fn write_layout<'a>(folder: &Path, images: impl IntoIterator<Item = (&'a str, &'a Image)>) {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let mut entries = Vec::new();
    for (tag, image) in images {
        for part in image.all() {
            for blob in part.blobs.iter().chain([&part.manifest]) {
                fs::write(blobs.join(hex_of(&digest(blob))), blob).unwrap();
            }
        }
        let mut entry = descriptor(image.media_type, &image.manifest);
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
        entries.push(entry);
    }
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
}

/// Pushes to one registry, over connections of its own that are kept.
pub struct Publisher {
    client: Client,
    url: String,
    access: Access,
    realm: Option<String>,
    /// Bearer tokens by repository.
    tokens: Mutex<HashMap<String, String>>,
}

impl Publisher {
    /// A publisher that may do everything in `registry`.
    pub fn new(registry: &DockerRegistry) -> Self {
        // Fails only where another test of this program was first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let options = registry.options();
        let mut client = Client::builder().no_proxy();
        if options.transport != Transport::Plain {
            let authority = fs::read(registry.ca_file()).unwrap();
            let authority = reqwest::Certificate::from_pem(&authority).unwrap();
            client = client.tls_certs_only([authority]);
        }
        if options.transport == Transport::TlsBothSides {
            let (certificate, key) = registry.client_files();
            let both = [fs::read(certificate).unwrap(), fs::read(key).unwrap()].concat();
            client = client.identity(reqwest::Identity::from_pem(&both).unwrap());
        }
        Self {
            client: client.build().unwrap(),
            url: registry.url(),
            access: options.access,
            realm: matches!(options.access, Access::Token(_)).then(|| registry.tokens().realm()),
            tokens: Mutex::default(),
        }
    }

    /// A publisher for a registry at `url` that is open to everybody.
    pub fn open(url: String) -> Self {
        // Fails only where another test of this program was first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self {
            client: Client::builder().no_proxy().build().unwrap(),
            url,
            access: Access::Open,
            realm: None,
            tokens: Mutex::default(),
        }
    }

    /// Pushes `image` and all below it, and tags it where a tag is given.
    pub async fn push(&self, repository: &str, image: &Image, tag: Option<&str>) {
        for part in image.all() {
            for blob in &part.blobs {
                self.push_blob(repository, blob).await;
            }
            // docker-registry wants to be told a type that it knows.
            let media_type =
                if part.media_type == UNKNOWN { OCI_MANIFEST } else { part.media_type };
            self.put_manifest(repository, &part.digest(), media_type, &part.manifest).await;
        }
        if let Some(tag) = tag {
            self.put_manifest(repository, tag, image.media_type, &image.manifest).await;
        }
    }

    /// Pushes `count` distinct images to `repository`, tagged `0`, `1`, …; 16 at a time (200 in about 2 s).
    pub async fn push_many(&self, repository: &str, count: usize) -> Vec<Image> {
        let pushes = (0..count).map(|number| async move {
            let image = Image::oci(&format!("{repository} {number}"));
            self.push(repository, &image, Some(&number.to_string())).await;
            image
        });
        stream::iter(pushes).buffered(16).collect().await
    }

    /// Puts `bytes` as the manifest `reference`, whatever they are.
    pub async fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) {
        let path = format!("{repository}/manifests/{reference}");
        let request = self.request(Method::PUT, repository, &path).await;
        let request = request.header("content-type", media_type).body(bytes.to_vec());
        expect(request, StatusCode::CREATED).await;
    }

    /// Uploads a blob.
    pub async fn push_blob(&self, repository: &str, blob: &[u8]) {
        let path = format!("{repository}/blobs/uploads/");
        let request = self.request(Method::POST, repository, &path).await;
        let answer = expect(request, StatusCode::ACCEPTED).await;
        let mut location = url::Url::parse(&self.url).unwrap();
        location = location.join(answer.headers()["location"].to_str().unwrap()).unwrap();
        location.query_pairs_mut().append_pair("digest", &digest(blob));
        let request = self.client.put(location).body(blob.to_vec());
        expect(self.authorized(request, repository).await, StatusCode::CREATED).await;
    }

    /// The manifest `reference`, or nothing where there is none.
    pub async fn manifest(&self, repository: &str, reference: &str) -> Option<Vec<u8>> {
        let path = format!("{repository}/manifests/{reference}");
        let request = self.request(Method::GET, repository, &path).await;
        let accept = format!("{OCI_MANIFEST}, {OCI_INDEX}, {DOCKER_MANIFEST}");
        let answer = request.header("accept", accept).send().await.unwrap();
        match answer.status() {
            StatusCode::OK => Some(answer.bytes().await.unwrap().to_vec()),
            StatusCode::NOT_FOUND => None,
            status => panic!("GET {path}: {status}"),
        }
    }

    /// A blob.
    pub async fn blob(&self, repository: &str, digest: &str) -> Vec<u8> {
        let path = format!("{repository}/blobs/{digest}");
        let request = self.request(Method::GET, repository, &path).await;
        expect(request, StatusCode::OK).await.bytes().await.unwrap().to_vec()
    }

    /// The entries of the list of referrers of `subject`: of the registry where it keeps one, else of the tag.
    pub async fn referrers(&self, repository: &str, subject: &str) -> Vec<Value> {
        let path = format!("{repository}/referrers/{subject}");
        let answer = self.request(Method::GET, repository, &path).await.send().await.unwrap();
        let index = match answer.status() {
            StatusCode::OK => Some(answer.bytes().await.unwrap().to_vec()),
            _ => self.manifest(repository, &subject.replace(':', "-")).await,
        };
        let Some(index) = index else { return Vec::new() };
        let index: Value = serde_json::from_slice(&index).unwrap();
        index["manifests"].as_array().unwrap().clone()
    }

    /// Deletes a manifest by digest.
    pub async fn delete_manifest(&self, repository: &str, digest: &str) {
        let path = format!("{repository}/manifests/{digest}");
        expect(self.request(Method::DELETE, repository, &path).await, StatusCode::ACCEPTED).await;
    }

    async fn request(&self, method: Method, repository: &str, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}/v2/{path}", self.url));
        self.authorized(request, repository).await
    }

    async fn authorized(&self, request: RequestBuilder, repository: &str) -> RequestBuilder {
        match self.access {
            Access::Open => request,
            Access::Password => request.basic_auth(USER.user, Some(USER.password)),
            Access::Token(_) => request.bearer_auth(self.token(repository).await),
        }
    }

    async fn token(&self, repository: &str) -> String {
        if let Some(token) = self.tokens.lock().unwrap().get(repository) {
            return token.clone();
        }
        let realm = self.realm.as_deref().expect("a registry with tokens");
        let url = format!("{realm}?scope=repository:{repository}:pull,push,delete");
        let request = self.client.get(url).basic_auth(USER.user, Some(USER.password));
        let answer = expect(request, StatusCode::OK).await.bytes().await.unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let token = answer["token"].as_str().unwrap().to_owned();
        self.tokens.lock().unwrap().insert(repository.to_owned(), token.clone());
        token
    }
}

async fn expect(request: RequestBuilder, status: StatusCode) -> reqwest::Response {
    let answer = request.send().await.unwrap();
    if answer.status() != status {
        let (url, found) = (answer.url().clone(), answer.status());
        panic!("{url}: {found} instead of {status}: {}", answer.text().await.unwrap());
    }
    answer
}

/// A tar archive of one file that says `name`.
fn layer(name: &str) -> Vec<u8> {
    let content = name.as_bytes();
    let mut header = [0_u8; 512];
    header[..8].copy_from_slice(b"name.txt");
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..124].copy_from_slice(b"0000000\x000000000\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[148..156].copy_from_slice(b"        ");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|it| u32::from(*it)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let padding = content.len().next_multiple_of(512) - content.len() + 1024;
    [&header, content, &vec![0; padding]].concat()
}

fn configuration(name: &str, os: &str, architecture: &str, layer: &[u8]) -> Vec<u8> {
    bytes(&json!({
        "architecture": architecture, "os": os,
        "config": { "Labels": { "name": name } },
        "rootfs": { "type": "layers", "diff_ids": [digest(layer)] },
    }))
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "size": content.len(), "digest": digest(content) })
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// `sha256:<hex>` of `content`.
pub fn digest(content: &[u8]) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content);
    hash.as_ref().iter().fold(String::from("sha256:"), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn hex_of(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap()
}
