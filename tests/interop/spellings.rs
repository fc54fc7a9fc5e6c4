//! Bundles as others might write them: what cosign 3 takes counts, and what it does not take does not.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use countersign::crypto::{Hash, SignatureBytes};
use countersign::keys::memory::MemorySigner;
use countersign::payload::statement_signed_bytes;
use serde_json::{Value, json};

use crate::support::cosign::{Cosign, VerifyOptions};
use crate::support::images::{Image, digest};
use crate::support::registries::Kind;
use crate::{Scene, ready};

const IN_TOTO: &str = "application/vnd.in-toto+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// What one bundle says, and how.
struct Spelling {
    statement: String,
    /// Makes the bundle: of statement, signature and hint.
    bundle: fn(&[u8], &SignatureBytes, &str) -> Value,
    /// The media type of the layer.
    layer: &'static str,
}

fn usual(statement: &[u8], signature: &SignatureBytes, hint: &str) -> Value {
    json!({
        "mediaType": BUNDLE,
        "verificationMaterial": { "publicKey": { "hint": hint } },
        "dsseEnvelope": {
            "payload": STANDARD.encode(statement),
            "payloadType": IN_TOTO,
            "signatures": [{ "sig": signature.to_base64() }],
        },
    })
}

/// The usual with `change` done to it.
fn changed(it: (&[u8], &SignatureBytes, &str), change: impl Fn(&mut Value)) -> Value {
    let mut bundle = usual(it.0, it.1, it.2);
    change(&mut bundle);
    bundle
}

fn statement(hex: &str) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "digest": { "sha256": hex }, "annotations": {} }],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    })
}

/// Every spelling, by name, of a bundle about the image with this digest.
fn spellings(hex: &str) -> Vec<(&'static str, Spelling)> {
    let plain = statement(hex);
    let of = |bundle: fn(&[u8], &SignatureBytes, &str) -> Value| Spelling {
        statement: statement(hex).to_string(),
        bundle,
        layer: BUNDLE,
    };
    let says = |change: &dyn Fn(&mut Value)| {
        let mut statement = plain.clone();
        change(&mut statement);
        Spelling { statement: statement.to_string(), bundle: usual, layer: BUNDLE }
    };
    vec![
        ("usual", of(usual)),
        (
            "pretty statement",
            Spelling {
                statement: serde_json::to_string_pretty(&plain).unwrap(),
                bundle: usual,
                layer: BUNDLE,
            },
        ),
        (
            "no hint",
            of(|a, b, c| {
                changed((a, b, c), |it| {
                    it["verificationMaterial"] = json!({ "publicKey": {} });
                })
            }),
        ),
        (
            "empty material",
            of(|a, b, c| {
                changed((a, b, c), |it| {
                    it["verificationMaterial"] = json!({});
                })
            }),
        ),
        (
            "no material",
            of(|a, b, c| {
                changed((a, b, c), |it| {
                    it.as_object_mut().unwrap().remove("verificationMaterial");
                })
            }),
        ),
        ("unknown member", of(|a, b, c| changed((a, b, c), |it| it["more"] = json!(1)))),
        (
            "unknown member of the envelope",
            of(|a, b, c| {
                changed((a, b, c), |it| {
                    it["dsseEnvelope"]["more"] = json!(1);
                })
            }),
        ),
        (
            "original names",
            of(|a, b, c| {
                let text = usual(a, b, c).to_string();
                let text = text.replace("dsseEnvelope", "dsse_envelope");
                let text = text.replace("verificationMaterial", "verification_material");
                let text = text.replace("publicKey", "public_key");
                serde_json::from_str(&text.replace("mediaType", "media_type")).unwrap()
            }),
        ),
        (
            // Its original name is this.
            "payload_type",
            of(|a, b, c| {
                let text = usual(a, b, c).to_string().replace("payloadType", "payload_type");
                serde_json::from_str(&text).unwrap()
            }),
        ),
        (
            "unknown member of the key",
            of(|a, b, c| {
                changed((a, b, c), |it| it["verificationMaterial"]["publicKey"]["more"] = json!(1))
            }),
        ),
        (
            "unknown member of the signature",
            of(|a, b, c| {
                changed((a, b, c), |it| it["dsseEnvelope"]["signatures"][0]["more"] = json!(1))
            }),
        ),
        ("unknown member of the subject", says(&|it| it["subject"][0]["more"] = json!(1))),
        (
            "original names in the statement",
            says(&|it| {
                let kind = it["predicateType"].take();
                it.as_object_mut().unwrap().remove("predicateType");
                it["predicate_type"] = kind;
            }),
        ),
        (
            "url-safe base64",
            of(|a, b, c| {
                changed((a, b, c), |it| {
                    let signature = STANDARD.decode(b.to_base64()).unwrap();
                    it["dsseEnvelope"]["signatures"][0]["sig"] = json!(URL_SAFE.encode(signature));
                })
            }),
        ),
        (
            "no padding",
            of(|a, b, c| {
                changed((a, b, c), |it| {
                    it["dsseEnvelope"]["payload"] = json!(STANDARD_NO_PAD.encode(a));
                })
            }),
        ),
        (
            "another signature before",
            of(|a, b, c| {
                changed((a, b, c), |it| {
                    let signatures = it["dsseEnvelope"]["signatures"].as_array_mut().unwrap();
                    signatures.insert(0, json!({ "sig": "AAAA" }));
                })
            }),
        ),
        (
            "another signature after",
            of(|a, b, c| {
                changed((a, b, c), |it| {
                    let signatures = it["dsseEnvelope"]["signatures"].as_array_mut().unwrap();
                    signatures.push(json!({ "sig": "AAAA" }));
                })
            }),
        ),
        (
            "the same signature twice",
            of(|a, b, c| {
                changed((a, b, c), |it| {
                    let signatures = it["dsseEnvelope"]["signatures"].as_array_mut().unwrap();
                    signatures.push(signatures[0].clone());
                })
            }),
        ),
        (
            "keyid",
            of(|a, b, c| {
                changed((a, b, c), |it| {
                    it["dsseEnvelope"]["signatures"][0]["keyid"] = json!("k");
                })
            }),
        ),
        (
            "empty keyid",
            of(|a, b, c| {
                changed((a, b, c), |it| {
                    it["dsseEnvelope"]["signatures"][0]["keyid"] = json!("");
                })
            }),
        ),
        (
            "older name of 0.3",
            of(|a, b, c| {
                changed((a, b, c), |it| {
                    it["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.3");
                })
            }),
        ),
        (
            "0.2",
            of(|a, b, c| {
                changed((a, b, c), |it| {
                    it["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.2");
                })
            }),
        ),
        (
            "0.4",
            of(|a, b, c| {
                changed((a, b, c), |it| {
                    it["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v0.4+json");
                })
            }),
        ),
        (
            "another layer type",
            Spelling { layer: "application/vnd.dev.sigstore.bundle+json;version=0.3", ..of(usual) },
        ),
        (
            "statement v0.1",
            says(&|it| {
                it["_type"] = json!("https://in-toto.io/Statement/v0.1");
            }),
        ),
        (
            "no predicate",
            says(&|it| {
                it.as_object_mut().unwrap().remove("predicate");
            }),
        ),
        (
            "no annotations",
            says(&|it| {
                it["subject"][0].as_object_mut().unwrap().remove("annotations");
            }),
        ),
        ("a name", says(&|it| it["subject"][0]["name"] = json!("app"))),
        (
            "second subject",
            says(&|it| {
                let ours = it["subject"][0].clone();
                let other = json!({ "digest": { "sha256": "0".repeat(64) } });
                it["subject"] = json!([other, ours]);
            }),
        ),
        (
            "another subject",
            says(&|it| it["subject"][0]["digest"]["sha256"] = json!("0".repeat(64))),
        ),
        (
            "upper case",
            says(&|it| {
                let upper = it["subject"][0]["digest"]["sha256"].as_str().unwrap().to_uppercase();
                it["subject"][0]["digest"]["sha256"] = json!(upper);
            }),
        ),
        ("unknown member of the statement", says(&|it| it["more"] = json!(1))),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cosign_takes_counts_and_what_it_does_not_take_does_not() {
    if !ready() {
        return;
    }
    let signer = MemorySigner::p256("release").unwrap();
    let key = signer.private_key();
    let scene = Scene::on(Kind::Api, Image::oci("app")).await;
    scene.workshop.write("release.pub", key.public_key().to_pem());
    scene.workshop.edit("key = \"release.key\"\n", "");
    scene.add("formats = [\"bundle\"]");
    let trust = scene.pair("release").trust();
    let mut previous = "app:1".to_owned();
    let mut differing = Vec::new();
    let names: Vec<&str> = spellings("").into_iter().map(|(name, _)| name).collect();
    for (number, name) in names.into_iter().enumerate() {
        let image = Image::oci(&format!("spelling {number}"));
        scene.publisher.push("app", &image, None).await;
        let subject = image.digest();
        let hex = subject.strip_prefix("sha256:").unwrap();
        let (_, spelling) = spellings(hex).swap_remove(number);
        let statement = spelling.statement.as_bytes();
        let signature = key.sign(&statement_signed_bytes(statement), Hash::Sha256).unwrap();
        let bundle = (spelling.bundle)(statement, &signature, &key.public_key().hint());
        refer(&scene, &image, &bundle.to_string().into_bytes(), spelling.layer).await;
        let reference = format!("app@{subject}");
        scene.workshop.edit(&previous, &reference);
        previous = reference.clone();
        let reference = scene.registry.reference(&reference);
        let taken = Cosign::v3().verify(&reference, &trust, &VerifyOptions::default());
        let plan = scene.workshop.run(&["plan", "--format", "json"]);
        let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
        let counts = plan["summary"]["keep"] == 1;
        if taken.is_ok() != counts {
            let said = taken.map_or_else(|done| done.stderr, |_| "taken".to_owned());
            differing.push(format!("{name}: counts {counts}, cosign: {said}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// Writes a referrer of `image` that carries `bundle`.
async fn refer(scene: &Scene, image: &Image, bundle: &[u8], layer: &str) {
    let oci = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": oci, "artifactType": BUNDLE,
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": digest(b"{}") },
        "layers": [{ "mediaType": layer, "size": bundle.len(), "digest": digest(bundle) }],
        "annotations": { "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1" },
        "subject": { "mediaType": oci, "size": image.manifest.len(), "digest": image.digest() },
    });
    let manifest = manifest.to_string().into_bytes();
    scene.publisher.push_blob("app", b"{}").await;
    scene.publisher.push_blob("app", bundle).await;
    scene.publisher.put_manifest("app", &digest(&manifest), oci, &manifest).await;
}
