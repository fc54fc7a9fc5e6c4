//! The files that say which services there are, and whom to trust.
//!
//! Source: protobuf-specs, `sigstore_trustroot.proto`; the C2SP signed-note specification for the id of a Rekor v2.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Front, Log, Sigstore};

/// Since when everything here is valid.
const START: &str = "2024-01-01T00:00:00Z";

pub fn signing_config(sigstore: &Sigstore, logs: &[Log], authorities: usize) -> Value {
    // Of each operator one service is used: each has its own here.
    let service = |url: String, version: u32| {
        json!({
            "operator": url, "url": url, "majorApiVersion": version, "validFor": { "start": START },
        })
    };
    let rekors: Vec<Value> = logs
        .iter()
        .map(|&log| service(sigstore.log(log).url(), if log == Log::RekorV1 { 1 } else { 2 }))
        .collect();
    let timestamps: Vec<Value> = [&sigstore.timestamps, &sigstore.other_timestamps]
        .into_iter()
        .take(authorities)
        .map(|it| service(timestamp_url(it), 1))
        .collect();
    json!({
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "caUrls": [service(sigstore.fulcio.url(), 1)],
        "oidcUrls": [service(sigstore.issuer().to_owned(), 1)],
        "rekorTlogUrls": rekors, "rekorTlogConfig": selector(logs.len()),
        "tsaUrls": timestamps, "tsaConfig": selector(authorities),
    })
}

/// `ANY` is one.
fn selector(count: usize) -> Value {
    if count > 1 {
        json!({ "selector": "EXACT", "count": count })
    } else {
        json!({ "selector": "ANY" })
    }
}

pub fn trusted_root(sigstore: &Sigstore) -> Value {
    let report = &sigstore.services.report;
    let [first, second] = &sigstore.services.timestamps;
    let (key_v1, key_v2) = (der(&report.rekor_v1_key), der(&report.rekor_v2_key));
    let certificate_log = der(&report.certificate_log_key);
    // The origin of a Rekor v2 is its host, and part of its id. Ed25519 keys are the last 32 bytes of their DER.
    let id_v2 = [b"127.0.0.1\n\x01", &key_v2[key_v2.len() - 32..]].concat();
    json!({
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [
            log(&sigstore.rekor_v1.url(), &key_v1, "PKIX_ECDSA_P256_SHA_256", &key_v1),
            log(&sigstore.rekor_v2.url(), &key_v2, "PKIX_ED25519", &id_v2),
        ],
        "certificateAuthorities": [authority(&sigstore.fulcio.url(), &report.fulcio_chain)],
        "ctlogs": [log(
            &format!("http://{}", report.certificate_log),
            &certificate_log,
            "PKIX_ECDSA_P256_SHA_256",
            &certificate_log,
        )],
        "timestampAuthorities": [
            authority(&timestamp_url(&sigstore.timestamps), &first.timestamp_authority_chain),
            authority(&timestamp_url(&sigstore.other_timestamps), &second.timestamp_authority_chain),
        ],
    })
}

fn log(url: &str, key: &[u8], details: &str, identified_by: &[u8]) -> Value {
    json!({
        "baseUrl": url, "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": STANDARD.encode(key), "keyDetails": details, "validFor": { "start": START },
        },
        "logId": { "keyId": STANDARD.encode(digest(&SHA256, identified_by)) },
    })
}

fn authority(url: &str, chain: &str) -> Value {
    let certificates: Vec<Value> =
        pems(chain).map(|it| json!({ "rawBytes": STANDARD.encode(it) })).collect();
    json!({
        "subject": { "organization": "countersign tests", "commonName": "tests" },
        "uri": url, "certChain": { "certificates": certificates }, "validFor": { "start": START },
    })
}

fn timestamp_url(front: &Front) -> String {
    format!("{}/api/v1/timestamp", front.url())
}

fn der(pem: &str) -> Vec<u8> {
    pems(pem).next().unwrap()
}

fn pems(text: &str) -> impl Iterator<Item = Vec<u8>> {
    text.split("-----BEGIN ").skip(1).map(|block| {
        let body: String =
            block.lines().skip(1).take_while(|it| !it.starts_with("-----")).collect();
        STANDARD.decode(body).unwrap()
    })
}
