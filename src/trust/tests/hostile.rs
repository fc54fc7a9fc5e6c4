//! Bytes that nobody should send.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::payload::LogEntry;
use crate::trust::TrustedRoot;
use crate::trust::tests::codes;
use crate::trust::tests::fixtures::{file, root, root_with, sample, samples};

#[test]
fn what_is_no_root_is_told() {
    let twice = root_json(|it| it["tlogs"][1] = it["tlogs"][0].clone());
    for wrong in [&b"\xff"[..], b"", b"[]", b"{}", twice.as_bytes()] {
        let error = TrustedRoot::parse(wrong).unwrap_err();
        assert_eq!(error.code, "trust::root_malformed");
    }
    // A key of a kind that nobody knows yet does not hide the others.
    let root = root_with(|it| it["tlogs"][1]["publicKey"]["rawBytes"] = json!("MAA="));
    assert_eq!(sample("simple-p256").prove(&root).log_entries, 1);
    assert_eq!(codes(&sample("bundle-p256-v2").prove(&root)), ["trust::log_unknown"]);
}

fn root_json(change: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_slice(&file("trusted_root.json")).unwrap();
    change(&mut value);
    value.to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever strangers change, nothing panics, and nothing else holds than before.
    #[test]
    fn changed_evidence_never_holds(which in 0usize..16, part in 0..3, at in 0usize..6000, bit in 0u8..8) {
        let samples = samples();
        let mut sample = samples[which % samples.len()].clone();
        let before = sample.prove(&root());
        let flip = |bytes: &mut Vec<u8>| {
            let place = at % bytes.len();
            bytes[place] ^= 1 << bit;
        };
        match part {
            0 => flip(&mut sample.entry().body),
            1 => sample.tokens.iter_mut().for_each(flip),
            _ => sample.entry().promise.iter_mut().for_each(flip),
        }
        let proof = sample.prove(&root());
        match part {
            0 => prop_assert_eq!(proof.log_entries, 0),
            // What is not signed may change: a status, the certificates beside.
            1 if proof.timestamps > 0 => prop_assert_eq!(proof, before),
            1 => prop_assert_eq!(proof.log_entries, before.log_entries),
            _ if sample.entry().promise.is_some() => prop_assert_eq!(proof.log_entries, 0),
            _ => prop_assert_eq!(proof, before),
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,200}") {
        let mut sample = sample("bundle-p256-v1");
        sample.entry().body.clone_from(&bytes);
        sample.entry().inclusion.as_mut().unwrap().checkpoint.clone_from(&text);
        sample.tokens = vec![bytes.clone()];
        prop_assert_eq!(sample.prove(&root()).log_entries, 0);
        prop_assert!(TrustedRoot::parse(&bytes).is_err());
        prop_assert!(LogEntry::from_annotation(&text).is_err());
    }
}
