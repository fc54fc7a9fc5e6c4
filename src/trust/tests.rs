//! Real evidence holds, and each lie about it is found.

mod certificates;
mod fixtures;
mod hostile;

use serde_json::{Value, json};

use crate::crypto::{Chain, PublicKey, SignatureBytes};
use crate::model::Timestamp;
use crate::payload::{Bundle, Material};
use crate::trust::tests::fixtures::{Sample, file, later, root, root_with, sample, samples, text};
use crate::trust::{Content, GithubClaims, Proof, Signed, TrustedRoot, Verifier};

/// The codes of what does not hold.
fn codes(proof: &Proof) -> Vec<&'static str> {
    proof.problems.iter().map(|it| it.code).collect()
}

#[test]
fn evidence_of_real_services_holds() {
    let root = root();
    for sample in samples() {
        assert!(sample.is_good(), "{}", sample.name);
        let proof = sample.prove(&root);
        assert_eq!(codes(&proof), [""; 0], "{}: {proof:?}", sample.name);
        assert_eq!(proof.log_entries, 1, "{}", sample.name);
        let is_stamped = sample.name.contains("stamped") || sample.is_bundle;
        assert_eq!(proof.timestamps, usize::from(is_stamped), "{}", sample.name);
        let earliest = proof.earliest.unwrap();
        if let Some(certificate) = &sample.certificate {
            assert!(certificate.not_before() <= earliest && earliest <= certificate.not_after());
            let identity = root.identity_of(certificate, sample.chain.as_ref(), earliest);
            let identity = identity.unwrap();
            assert!(identity.issuer.starts_with("http://127.0.0.1:"), "{identity:?}");
            if sample.name.contains("keyless") {
                assert_eq!(identity.subject, "ci@example.com");
                assert_eq!(identity.github, GithubClaims::default());
            }
        }
    }
}

#[test]
fn the_claims_of_a_workflow_are_read() {
    let sample = sample("bundle-github-v2");
    let time = sample.prove(&root()).earliest.unwrap();
    let identity = root().identity_of(sample.certificate.as_ref().unwrap(), None, time).unwrap();
    assert_eq!(identity.github.repository.as_deref(), Some("acme/app"), "{identity:?}");
    assert_eq!(identity.github.trigger.as_deref(), Some("push"));
    assert_eq!(identity.github.reference.as_deref(), Some("refs/heads/main"));
    assert!(identity.subject.starts_with("https://github.com/acme/app/"), "{identity:?}");
}

#[test]
fn files_as_cosign_2_takes_them_are_a_root_too() {
    let key = |name| PublicKey::from_pem(&text(name)).unwrap();
    let chain = |name| Chain::from_pem(&text(name)).unwrap();
    let files = TrustedRoot::default()
        .with_log(key("r1.pub"))
        .with_certificate_log(key("ct.pub"))
        .with_certificate_authority(chain("f-chain.pem"))
        .with_timestamp_authority(&chain("t-chain.pem"));
    for sample in samples().iter().filter(|it| !it.name.ends_with("-v2")) {
        let proof = sample.prove(&files);
        assert_eq!(proof, sample.prove(&root()), "{}", sample.name);
        if let Some(certificate) = &sample.certificate {
            files.identity_of(certificate, None, proof.earliest.unwrap()).unwrap();
        }
    }
    // A chain that begins above the leaf: the leaf is the one that the timestamp carries.
    let only_root = chain("t-chain.pem").certificates().last().unwrap().to_pem();
    let only_root = Chain::from_pem(&only_root).unwrap();
    let above = TrustedRoot::default().with_timestamp_authority(&only_root);
    assert_eq!(sample("simple-stamped").prove(&above).timestamps, 1);
}

#[test]
fn every_lie_about_a_log_entry_is_found() {
    type Lie = fn(&mut Sample);
    let lies: [(&str, &str, &str, Lie); 19] = [
        ("a promise changed", "simple-p256", "trust::promise_wrong", |it| {
            let promise = it.entry().promise.as_mut().unwrap();
            *promise.last_mut().unwrap() ^= 1;
        }),
        ("another time", "simple-keyless", "trust::promise_wrong", |it| {
            it.entry().integrated_time = Some(it.certificate.as_ref().unwrap().not_after());
        }),
        ("no time", "simple-p256", "trust::promise_wrong", |it| it.entry().integrated_time = None),
        ("another place", "simple-p256", "trust::promise_wrong", |it| it.entry().log_index += 1),
        ("another body", "simple-p256", "trust::promise_wrong", |it| it.entry().body.push(b' ')),
        ("neither promise nor proof", "simple-p256", "trust::entry_unproven", |it| {
            it.entry().promise = None;
        }),
        ("no proof in Rekor v2", "bundle-p256-v2", "trust::entry_unproven", |it| {
            it.entry().promise = it.entry().inclusion.take().map(|_| vec![0]);
        }),
        ("a promise changed beside a proof", "bundle-p256-v1", "trust::promise_wrong", |it| {
            it.entry().promise.as_mut().unwrap().reverse();
        }),
        ("a body changed beside a proof", "bundle-p256-v2", "trust::proof_wrong", |it| {
            it.entry().body.push(b' ');
        }),
        ("a longer way", "bundle-p256-v1", "trust::proof_wrong", |it| {
            it.entry().inclusion.as_mut().unwrap().hashes.push(vec![0; 32]);
        }),
        ("a short hash", "bundle-p256-v1", "trust::proof_wrong", |it| {
            it.entry().inclusion.as_mut().unwrap().hashes.push(vec![0; 31]);
        }),
        ("another place in the tree", "bundle-p256-v1", "trust::proof_wrong", |it| {
            it.entry().inclusion.as_mut().unwrap().log_index = 0;
        }),
        ("another place in the log of Rekor v2", "bundle-keyless-v2", "trust::proof_wrong", |it| {
            it.entry().log_index = 0;
        }),
        ("another root", "bundle-p256-v1", "trust::proof_wrong", |it| {
            it.entry().inclusion.as_mut().unwrap().root_hash = vec![0; 32];
        }),
        ("a checkpoint of a larger tree", "bundle-p256-v2", "trust::checkpoint_wrong", |it| {
            let proof = it.entry().inclusion.as_mut().unwrap();
            proof.checkpoint = proof.checkpoint.replacen("\n1\n", "\n2\n", 1);
        }),
        ("a checkpoint without a signature", "bundle-p256-v2", "trust::checkpoint_wrong", |it| {
            let proof = it.entry().inclusion.as_mut().unwrap();
            proof.checkpoint = proof.checkpoint.split('—').next().unwrap().to_owned();
        }),
        ("another kind", "bundle-p256-v1", "trust::entry_malformed", |it| {
            it.entry().kind.name = "hashedrekord".into();
        }),
        ("a kind that binds nothing", "bundle-p256-v1", "trust::entry_malformed", |it| {
            it.entry().kind.name = "rfc3161".into();
        }),
        ("a log that nobody knows", "simple-p256", "trust::log_unknown", |it| {
            it.entry().log_id = vec![0; 32];
        }),
    ];
    for (name, from, code, lie) in lies {
        let mut sample = sample(from);
        lie(&mut sample);
        let proof = sample.prove(&root());
        assert_eq!((codes(&proof), proof.log_entries), (vec![code], 0), "{name}");
        let stamps = usize::from(sample.is_bundle);
        assert_eq!(proof.timestamps, stamps, "{name}: nothing else falls");
    }
    // The same entry twice counts once.
    let mut twice = sample("bundle-p256-v1");
    twice.entries.push(twice.entries[0].clone());
    let proof = twice.prove(&root());
    assert_eq!((codes(&proof), proof.log_entries), (vec!["trust::entry_twice"], 1));
}

#[test]
fn an_entry_of_another_signature_is_found() {
    for (one, other) in [
        ("simple-p256", "simple-stamped"),
        ("simple-p256", "simple-rsa2048"),
        ("simple-keyless", "simple-keyless-stamped"),
        ("bundle-p256-v1", "bundle-rsa2048-v1"),
        ("bundle-p256-v1", "simple-p256"),
        ("bundle-p256-v2", "bundle-p384-v2"),
        ("bundle-keyless-v2", "bundle-github-v2"),
        ("bundle-keyless-v1", "bundle-keyless-v2"),
    ] {
        let mut sample = sample(one);
        sample.entries = self::sample(other).entries;
        let proof = sample.prove(&root());
        assert_eq!(proof.log_entries, 0, "{one} {other}: {proof:?}");
        assert_eq!(codes(&proof), ["trust::entry_of_another"], "{one} {other}");
    }
    // The same signature under the bare key of its certificate: the entry names the certificate.
    let mut bare = sample("simple-keyless");
    bare.certificate = None;
    assert_eq!(codes(&bare.prove(&root())), ["trust::entry_of_another"]);
    // And the reverse.
    let mut certified = sample("simple-p256");
    certified.certificate = sample("simple-keyless").certificate;
    assert_eq!(codes(&certified.prove(&root())), ["trust::entry_of_another"]);
}

#[test]
fn an_entry_is_bound_to_content_signature_and_verifier_each() {
    for sample in samples() {
        let (mut content, mut signature, mut verifier) = (sample.clone(), sample.clone(), sample);
        content.payload.push(b' ');
        signature.signature = SignatureBytes::new(vec![1; 70]);
        verifier.certificate = None;
        verifier.key = PublicKey::from_pem(&text("../keys/rsa4096.pub")).unwrap();
        for (changed, what) in
            [(&content, "content"), (&signature, "signature"), (&verifier, "key")]
        {
            let proof = changed.prove(&root());
            assert_eq!((proof.log_entries, codes(&proof)[0]), (0, "trust::entry_of_another"));
            let said = &proof.problems[0].message;
            assert!(said.contains(&format!("another {what}")), "{}: {said}", changed.name);
        }
    }
}

#[test]
fn logs_are_trusted_with_their_own_key_in_their_time_only() {
    let other = PublicKey::from_pem(&text("other-log.pub")).unwrap();
    let other = SignatureBytes::new(other.as_der().to_vec()).to_base64();
    let log = |number: usize, name: &'static str, value: Value| {
        root_with(move |root| root["tlogs"][number]["publicKey"][name] = value)
    };
    let window = |start: &str, end: &str| json!({ "start": start, "end": end });
    let (past, future) = ("2024-01-01T00:00:00Z", "2099-01-01T00:00:00Z");
    for (name, from, root, expected) in [
        ("SET", "simple-p256", log(0, "rawBytes", json!(other)), "trust::promise_wrong"),
        ("v1", "bundle-p256-v1", log(0, "rawBytes", json!(other)), "trust::checkpoint_wrong"),
        ("v2", "bundle-p256-v2", log(1, "rawBytes", json!(other)), "trust::checkpoint_wrong"),
        (
            "ended",
            "simple-p256",
            log(0, "validFor", window(past, "2025-01-01T00:00:00Z")),
            "trust::log_not_valid",
        ),
        (
            "not yet",
            "simple-p256",
            log(0, "validFor", window(future, future)),
            "trust::log_not_valid",
        ),
        (
            "v2 not yet",
            "bundle-p256-v2",
            log(1, "validFor", window(future, future)),
            "trust::log_not_valid",
        ),
        (
            "v2 of another host",
            "bundle-p256-v2",
            root_with(|it| it["tlogs"][1]["baseUrl"] = json!("https://other.example")),
            "trust::checkpoint_wrong",
        ),
    ] {
        assert_eq!(codes(&sample(from).prove(&root)), [expected], "{name}");
    }
}

#[test]
fn only_a_promise_proves_the_time_of_a_log() {
    let mut sample = sample("bundle-keyless-v1");
    sample.tokens.clear();
    assert!(sample.prove(&root()).earliest.is_some());
    sample.entry().promise = None;
    let proof = sample.prove(&root());
    assert_eq!((proof.log_entries, proof.earliest, codes(&proof)), (1, None, vec![]));
    // Rekor v2 signs no time, whatever is written beside its entry.
    let mut sample = self::sample("bundle-keyless-v2");
    sample.tokens.clear();
    let now = sample.certificate.as_ref().unwrap().not_before();
    (sample.entry().integrated_time, sample.entry().promise) = (Some(now), Some(vec![1; 70]));
    let proof = sample.prove(&root());
    assert_eq!((proof.log_entries, proof.earliest, codes(&proof)), (1, None, vec![]));
}

#[test]
fn every_lie_about_a_timestamp_is_found() {
    let none = || root_with(|root| root["timestampAuthorities"] = json!([]));
    let stranger = || {
        let chain = Chain::from_pem(&text("other-t-chain.pem")).unwrap();
        none().with_timestamp_authority(&chain)
    };
    let ended = || {
        let window = json!({ "start": "2024-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z" });
        root_with(|root| root["timestampAuthorities"][0]["validFor"] = window)
    };
    let own = || sample("simple-stamped").tokens;
    let change = |at: usize| {
        let mut token = own().remove(0);
        let last = token.len() - 1;
        token[last - at] ^= 1;
        vec![token]
    };
    let replace = |from: &[u8], to: &[u8]| {
        let mut token = own().remove(0);
        let at = token.windows(from.len()).position(|it| it == from).unwrap();
        token[at..at + to.len()].copy_from_slice(to);
        vec![token]
    };
    // A status of 2: rejected. A time of some other year.
    let rejected = replace(&[0x30, 3, 2, 1, 0], &[0x30, 3, 2, 1, 2]);
    let backdated = replace(b"\x18\x0f2026", b"\x18\x0f2025");
    for (name, tokens, root, expected) in [
        ("rejected", rejected, root(), vec!["trust::timestamp_malformed"]),
        ("backdated", backdated, root(), vec!["trust::timestamp_wrong"]),
        ("no authority", own(), none(), vec!["trust::timestamp_authority_unknown"]),
        ("another authority", own(), stranger(), vec!["trust::timestamp_authority_unknown"]),
        (
            "an authority that has ended",
            own(),
            ended(),
            vec!["trust::timestamp_authority_not_valid"],
        ),
        (
            "another signature",
            sample("bundle-p256-v2").tokens,
            root(),
            vec!["trust::timestamp_of_another"],
        ),
        ("a signature changed", change(0), root(), vec!["trust::timestamp_wrong"]),
        ("nothing", vec![vec![]], root(), vec!["trust::timestamp_malformed"]),
        (
            "something else",
            vec![file("trusted_root.json")],
            root(),
            vec!["trust::timestamp_malformed"],
        ),
        ("too large", vec![vec![0x30; 1 << 17]], root(), vec!["trust::timestamp_malformed"]),
        ("twice", [own(), own()].concat(), root(), vec!["trust::timestamp_twice"]),
    ] {
        let mut sample = sample("simple-stamped");
        sample.tokens = tokens;
        let proof = sample.prove(&root);
        assert_eq!(codes(&proof), expected, "{name}");
        assert_eq!(proof.timestamps, usize::from(name == "twice"), "{name}");
        assert_eq!(proof.log_entries, 1, "{name}: nothing else falls");
    }
    // Two authorities are two witnesses only where two have signed.
    let chain = Chain::from_pem(&text("t-chain.pem")).unwrap();
    let proof = sample("simple-stamped").prove(&root().with_timestamp_authority(&chain));
    assert_eq!(proof.timestamps, 1);
}

#[test]
fn authorities_with_rsa_keys_are_taken_too() {
    let chain = Chain::from_pem(&text("rsa-t-chain.pem")).unwrap();
    let only_root = Chain::from_pem(&chain.certificates().last().unwrap().to_pem()).unwrap();
    let stranger = Chain::from_pem(&text("other-t-chain.pem")).unwrap();
    let with = |chain: &Chain| TrustedRoot::default().with_timestamp_authority(chain);
    let good = file("rsa-timestamp.tsr");
    let prove = |from: &str, token: &[u8], root: &TrustedRoot| {
        let mut sample = sample(from);
        sample.entries.clear();
        sample.tokens = vec![token.to_vec()];
        sample.prove(root)
    };
    for chain in [&chain, &only_root] {
        let proof = prove("simple-p256", &good, &with(chain));
        assert_eq!((proof.timestamps, codes(&proof)), (1, vec![]));
        assert!(
            proof.earliest < Some(later()) && proof.earliest.unwrap().as_seconds() > 1_795_000_000
        );
        let proof = prove("simple-rsa2048", &good, &with(chain));
        assert_eq!(codes(&proof), ["trust::timestamp_of_another"]);
        // Every byte of what is signed counts, and of the signature.
        let length = good.len();
        for at in [length - 1, length - 200, 120, 160] {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert_eq!(prove("simple-p256", &changed, &with(chain)).timestamps, 0, "{at}");
        }
    }
    let proof = prove("simple-p256", &good, &with(&stranger));
    assert_eq!(codes(&proof), ["trust::timestamp_authority_unknown"]);
    // The right leaf below a root that is not its own.
    let swapped = text("rsa-t-chain.pem").replace(&only_root.to_pem(), &stranger.to_pem());
    let proof = prove("simple-p256", &good, &with(&Chain::from_pem(&swapped).unwrap()));
    assert_eq!(codes(&proof), ["trust::timestamp_wrong"]);
}

#[test]
fn a_time_outside_of_the_certificate_proves_nothing_at_all() {
    let folder = "../conformance/intoto-tsa-timestamp-outside-cert-validity_fail";
    let bundle = Bundle::parse(&file(&format!("{folder}/bundle.sigstore.json"))).unwrap();
    let root = TrustedRoot::parse(&file(&format!("{folder}/trusted_root.json"))).unwrap();
    let Material::Certificate(certificate) = &bundle.material else { panic!("{bundle:?}") };
    let signed = Signed {
        content: Content::Statement(&bundle.envelope.payload),
        signature: bundle.signature().unwrap(),
        verifier: Verifier::Certificate(certificate),
    };
    let prove = |tokens: &[Vec<u8>]| root.prove(&signed, &bundle.log_entries, tokens, later());
    // The log says a time within the certificate, the authority one after its end.
    assert_eq!((prove(&[]).log_entries, codes(&prove(&[]))), (1, vec![]));
    let proof = prove(&bundle.timestamps);
    assert_eq!(codes(&proof), ["trust::time_outside_certificate"]);
    assert_eq!((proof.log_entries, proof.timestamps, proof.earliest), (0, 0, None));
}

#[test]
fn a_time_in_the_future_is_told() {
    let sample = sample("simple-p256");
    let signed = Signed {
        content: Content::Message(&sample.payload),
        signature: &sample.signature,
        verifier: Verifier::Key(&sample.key),
    };
    let last_year = Timestamp::from_seconds(later().as_seconds() - 365 * 86_400);
    let proof = root().prove(&signed, &sample.entries, &[], last_year);
    assert_eq!((codes(&proof), proof.log_entries), (vec!["trust::time_in_future"], 0));
}
