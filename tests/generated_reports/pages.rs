//! The pages for people, word for word.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use countersign::payload::Claim;
use countersign::plan::{
    Ability, Change, Cleaning, DiffOptions, Explanation, Failure, FailureClass, Found, Observed,
    Plan, ServiceUse, Services, SignerKey, SignerProfile, SignerState, Signers, TargetPlan,
    Verdict, diff, explain, verify,
};
use countersign::render::{Color, Detail, Style, human};
use countersign::report::Report;

use crate::sample::{self, HOSTILE};

/// What is written, checked to hold nothing that a terminal would obey.
fn page(style: Style, write: impl Fn(&Style, &mut dyn io::Write) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&style, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let hostile = |it: char| it != '\n' && (it.is_control() || it == '\u{202e}');
    let plain = style.color == Color::Never;
    assert!(!plain || !text.chars().any(hostile), "{text:?}");
    assert!(!text.contains(HOSTILE));
    text
}

/// A small world: what is on one subject, and what is wanted of it.
pub(crate) fn explanation() -> Explanation {
    let mut target = sample::target("ghcr.io/acme/api", "api", &[":1.4.2"], 12);
    target.signers = vec![sample::signer("release"), sample::signer("ci")];
    target.wants = vec![
        sample::want(&target, "release", &[("env", "production")]),
        sample::want(&target, "ci", &[]),
    ];
    let claimed = |found: Found, pairs: &[(&str, &str)]| {
        let claim = Claim {
            annotations: sample::annotations(pairs),
            ..found.claim.as_deref().unwrap().clone()
        };
        Found { claim: Some(Arc::new(claim)), ..found }
    };
    let mut good = claimed(sample::found(&target, 0, Some("release")), &[("env", "production")]);
    good.certificate = Some(sample::certificate());
    (good.carried.timestamps, good.evidence.timestamps) = (1, 1);
    good.proven = Some(sample::now());
    let mut other = sample::found(&target, 4, Some("ci"));
    let claim = Claim {
        digest: countersign::model::Digest::of(b"another image"),
        ..other.claim.as_deref().unwrap().clone()
    };
    other.claim = Some(Arc::new(claim));
    let mut unreadable = sample::found(&target, 6, None);
    unreadable.claim = None;
    unreadable.verdict = Verdict::Unreadable(sample::throttled());
    let found = vec![
        good,
        claimed(sample::found(&target, 1, Some("release")), &[("env", HOSTILE)]),
        claimed(sample::found(&target, 2, Some("release")), &[("env", "production")]),
        sample::found(&target, 3, Some("release-2024")),
        other,
        sample::found(&target, 5, None),
        unreadable,
        sample::found(&target, 7, Some("audit")),
    ];
    let carrier = Some(countersign::model::Digest::of(b"carrier"));
    let observed = Observed::Read { carrier, referrers: Default::default(), found };
    let mut signers = Signers::new();
    for name in ["release", "ci", "release-2024", "audit", "vault-room"] {
        let profile = SignerProfile::new(sample::signer(name), Ability::Sign);
        let profile = SignerProfile { retired: name == "release-2024", ..profile };
        let key = if name == "vault-room" {
            let reason =
                Failure::new("key::unavailable", "the vault is down", FailureClass::Temporary);
            SignerKey::Unknown(reason.help("run again later"))
        } else {
            SignerKey::Known(sample::key())
        };
        signers.insert(sample::signer(name), SignerState::new(profile, key));
    }
    let options = DiffOptions { now: sample::now(), cleaning: Cleaning::AsDeclared };
    let changes = diff(&target, &observed, &signers, &options);
    explain(&target, &observed, &signers, &changes, options.now)
}

#[test]
fn a_plan_shows_what_changes() {
    let plan = sample::plan();
    let text = page(Style::default(), |style, out| human::plan(&plan, style, out));
    insta::assert_snapshot!(text, @r#"
    ghcr.io/acme/api
      1.4.2, 1.4, 1 and 1 more  sha256:14c2529eb449  countersign.toml:12
        + release       simple-signing  sign with build=8812, env=production
        ~ ci            simple-signing  sign again with env=production
            annotations  env=\u{1b}[2J\u{1b}[1;1Hall good\r\n\u{9b}31m\u{202e}deretsiger → env=production
            hash         sha512 → sha256
        = audit         simple-signing  as declared
        - ci            simple-signing  remove: superseded, payload sha256:0b50c1696c6e
        - release-2024  simple-signing  remove: retired, payload sha256:d2a81b0b3d1e
        ? (unknown)     simple-signing  kept: foreign, payload sha256:a837b2378542
      2 \u{1b}[2J\u{1b}[1;1Hall good\r\n\u{9b}31m\u{202e}deretsiger  sha256:3fab5c181bd2  countersign.toml:20
        ! ghcr.io/acme/api:2  names sha256:d9298a10d1b0 now; the declared digest is what is signed
        ! ghcr.io/acme/api:2-old  is gone; the declared digest is what is signed
        = release  simple-signing  as declared
      = 2 images as declared: 2 kept, 2 not looked at
      1 optional image not there yet

    ghcr.io/acme/web  (signatures in ghcr.io/acme/signatures)
      3.0.1  sha256:4b5e57f6eb2f  countersign.toml:28
        + vault-room  simple-signing  attach the signature of out/web.payload.json as registry.acme.example/web with room=4
        + release     simple-signing  attach the declared certificate, in place of: release@acme.example until 2026-12-31T23:59:59Z
        x ci          simple-signing  registry::throttled
            cannot read ghcr.io/acme/web:sha256-ab.sig: \u{1b}[2J\u{1b}[1;1Hall
            good\r\n\u{9b}31m\u{202e}deretsiger
            help: run again later, or set `requests_per_second` under [registries]
        x (the image)  image::child_type
            ghcr.io/acme/web:3.0.1 has a child

    Not resolved
      x ghcr.io/acme/web:9  image::not_found  countersign.toml:31
          ghcr.io/acme/web:9 does not exist
          help: push the image first, or mark the entry `optional = true`

    Warnings
      ! the certificate of release ends on 2026-12-31T23:59:59Z: replace it
        (signature::certificate_ends)

    Signer ci: key sha256:1b158839f8aa339e89bb50b1603e90ec68e0fd5565fe10a7cb32729fddf7070a
    Signer release: key sha256:d26cd3953ce5b49a28af9d87ac4449797395e8014aa5f073c7e8cb809f02d772, certificate sha256:a371332142af
    Plan: 1 to sign, 1 to resign, 2 to attach, 2 to clean, 4 kept, 3 foreign, 3 blocked, 2 moved
    Publishes: nothing (no log entry, no certificate)
    Fingerprint: sha256:b64450e272f96c7f07b20cfde775c9322f91df56592efa6a181ebd5ce59fe804
    Next: countersign apply, or exactly this plan:
      countersign apply --expect sha256:b64450e272f96c7f07b20cfde775c9322f91df56592efa6a181ebd5ce59fe804
    What is blocked stays as it is until it is mended.
    "#);
}

#[test]
fn a_plan_says_what_becomes_public() {
    let mut plan = sample::plan();
    let used = |certificate, log_entries, timestamps| {
        let used = ServiceUse { certificate, log_entries, timestamps };
        Services { simple_signing: Ok(used), bundle: Ok(used) }
    };
    let told = |plan: &Plan| {
        let text = page(Style::default(), |style, out| human::changes(plan, style, out));
        let from = text.find("    Signer ").or(text.find("Signer ")).unwrap();
        let to = text.find("Fingerprint: ").unwrap();
        text[from..to].to_owned()
    };
    plan.signers.get_mut(&sample::signer("release")).unwrap().services = used(false, 1, 0);
    insta::assert_snapshot!(told(&plan), @r#"
    Signer ci: key sha256:1b158839f8aa339e89bb50b1603e90ec68e0fd5565fe10a7cb32729fddf7070a
    Signer release: key sha256:d26cd3953ce5b49a28af9d87ac4449797395e8014aa5f073c7e8cb809f02d772, certificate sha256:a371332142af
    Plan: 1 to sign, 1 to resign, 2 to attach, 2 to clean, 4 kept, 3 foreign, 3 blocked, 2 moved
    Publishes: 1 log entry, for good
      - the public key of release
      - the digest of each payload that is signed, and the time
    "#);
    let release = plan.signers.get_mut(&sample::signer("release")).unwrap();
    release.services = used(true, 2, 1);
    (release.key, release.certificate) = (None, None);
    release.identity = Some("\"ci@acme.com\", by \"https://accounts.google.com\"".into());
    insta::assert_snapshot!(told(&plan), @r#"
    Signer ci: key sha256:1b158839f8aa339e89bb50b1603e90ec68e0fd5565fe10a7cb32729fddf7070a
    Signer release: identity "ci@acme.com", by "https://accounts.google.com"
    Plan: 1 to sign, 1 to resign, 2 to attach, 2 to clean, 4 kept, 3 foreign, 3 blocked, 2 moved
    Publishes: 2 log entries and at least 1 certificate, for good; asks for 1 timestamp
      - the identity of release: "ci@acme.com", by "https://accounts.google.com"
      - the digest of each payload that is signed, and the time
    "#);
}

#[test]
fn a_plan_in_full_shows_everything() {
    let plan = sample::plan();
    let style = Style { detail: Detail::Everything, ..Style::default() };
    let text = page(style, |style, out| human::changes(&plan, style, out));
    for whole in plan.targets.iter().map(|it| it.target.subject.digest.to_string()) {
        assert!(text.contains(&whole), "{whole}");
    }
    assert!(!text.contains("countersign apply"));
    insta::assert_snapshot!(text.lines().take(12).collect::<Vec<_>>().join("\n"), @r#"
    ghcr.io/acme/api
      1.4.1 linux/amd64  sha256:baf0239e48ff4c47ebac3ba02b5cf1506b69cd5a0c0d0c825a53ba65976fb942  countersign.toml:12
        = release          simple-signing  as declared
        ? (not looked at)  simple-signing  kept, payload sha256:6eea669bf356
      1.4.1 linux/arm64  sha256:b3e3ab55f887c56c0bd8bec3743b0fb54daaa17861e03db5133ef2835eb0da5a  countersign.toml:12
        = release          simple-signing  as declared
        ? (not looked at)  simple-signing  kept, payload sha256:6eea669bf356
      1.4.2, 1.4, 1 and 1 more  sha256:14c2529eb4498c5d1ffd6915d05bf58a91bdda796af59f41d480d11c099d0479  countersign.toml:12
        + release       simple-signing  sign with build=8812, env=production
        ~ ci            simple-signing  sign again with env=production
            annotations  env=\u{1b}[2J\u{1b}[1;1Hall good\r\n\u{9b}31m\u{202e}deretsiger → env=production
            hash         sha512 → sha256
    "#);
}

#[test]
fn a_converged_plan_is_short() {
    let mut plan = sample::plan();
    plan.targets.truncate(2);
    plan.unresolved.clear();
    plan.warnings.clear();
    let text = page(Style::default(), |style, out| human::plan(&plan, style, out));
    insta::assert_snapshot!(text, @r#"
    ghcr.io/acme/api
      = 2 images as declared: 2 kept, 2 not looked at

    Plan: 0 to sign, 0 to resign, 0 to attach, 0 to clean, 2 kept, 2 foreign, 0 blocked
    Publishes: nothing (no log entry, no certificate)
    Fingerprint: sha256:db3a9015065e1b72b57b1c28ec3b917a4bf7147ee354722e665a029b796f3d9d
    Nothing to do: every image is as declared.
    "#);
    let empty = page(Style::default(), |style, out| human::plan(&Plan::default(), style, out));
    assert!(empty.ends_with("Nothing to do: every image is as declared.\n"), "{empty}");
}

#[test]
fn colours_change_nothing_but_colours() {
    let plan = sample::plan();
    let plain = page(Style::default(), |style, out| human::plan(&plan, style, out));
    let style = Style { color: Color::Always, ..Style::default() };
    let mut coloured = page(style, |style, out| human::plan(&plan, style, out));
    assert!(coloured.contains("\u{1b}[32m+ \u{1b}[0m"), "{coloured}");
    for code in ["0", "1", "2", "31", "32", "33", "34", "35"] {
        coloured = coloured.replace(&format!("\u{1b}[{code}m"), "");
    }
    let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    assert_eq!(trimmed(&coloured), trimmed(&plain));
}

#[test]
fn a_report_shows_what_failed() {
    let report = sample::report();
    let text = page(Style::default(), |style, out| human::report(&report, style, out));
    insta::assert_snapshot!(text, @r#"
    ghcr.io/acme/api
      1.4.2, 1.4, 1 and 1 more  sha256:14c2529eb449  countersign.toml:12
        + release       simple-signing  written
        x ci            simple-signing  resign failed: registry::throttled
            cannot read ghcr.io/acme/web:sha256-ab.sig: \u{1b}[2J\u{1b}[1;1Hall
            good\r\n\u{9b}31m\u{202e}deretsiger
            help: run again later, or set `requests_per_second` under [registries]
        = audit         simple-signing  as declared
        - ci            simple-signing  removed
        x release-2024  simple-signing  clean failed: registry::delete_refused
            cannot delete: \u{1b}[2J\u{1b}[1;1Hall good\r\n\u{9b}31m\u{202e}deretsiger
            help: allow deletes in the registry, or remove the tag there by hand
        ? (unknown)     simple-signing  kept: foreign, payload sha256:a837b2378542
      2 \u{1b}[2J\u{1b}[1;1Hall good\r\n\u{9b}31m\u{202e}deretsiger  sha256:3fab5c181bd2  countersign.toml:20
        ! ghcr.io/acme/api:2  names sha256:d9298a10d1b0 now; the declared digest is what is signed
        ! ghcr.io/acme/api:2-old  is gone; the declared digest is what is signed
        = release  simple-signing  as declared
      = 2 images as declared: 2 kept, 2 not looked at
      1 optional image not there yet

    ghcr.io/acme/web  (signatures in ghcr.io/acme/signatures)
      3.0.1  sha256:4b5e57f6eb2f  countersign.toml:28
        + vault-room  simple-signing  written
        + release     simple-signing  already done
        x ci          simple-signing  registry::throttled
            cannot read ghcr.io/acme/web:sha256-ab.sig: \u{1b}[2J\u{1b}[1;1Hall
            good\r\n\u{9b}31m\u{202e}deretsiger
            help: run again later, or set `requests_per_second` under [registries]
        x (the image)  image::child_type
            ghcr.io/acme/web:3.0.1 has a child

    Not resolved
      x ghcr.io/acme/web:9  image::not_found  countersign.toml:31
          ghcr.io/acme/web:9 does not exist
          help: push the image first, or mark the entry `optional = true`

    Warnings
      ! the certificate of release ends on 2026-12-31T23:59:59Z: replace it
        (signature::certificate_ends)

    Apply: 2 written, 1 removed, 4 kept; 4 images as declared, 3 failed
    Next: mend what failed, and run again; what is done is kept.
    "#);
}

#[test]
fn a_report_without_failures_is_short() {
    let mut report = sample::report();
    report.targets.truncate(2);
    let Report { targets, .. } = report;
    let report = Report { targets, ..Report::default() };
    let text = page(Style::default(), |style, out| human::report(&report, style, out));
    insta::assert_snapshot!(text, @r#"
    ghcr.io/acme/api
      = 2 images as declared: 2 kept, 2 not looked at

    Apply: 0 written, 0 removed, 2 kept; 2 images as declared, 0 failed
    "#);
}

#[test]
fn a_verification_shows_what_a_verifier_would_miss() {
    let plan = sample::plan();
    let verification = verify(&plan, sample::now());
    let text = page(Style::default(), |style, out| human::verification(&verification, style, out));
    insta::assert_snapshot!(text, @r#"
    ghcr.io/acme/api
      1.4.2, 1.4, 1 and 1 more  sha256:14c2529eb449  countersign.toml:12
        + release       simple-signing  missing
        ~ ci            simple-signing  not as declared
            annotations  env=\u{1b}[2J\u{1b}[1;1Hall good\r\n\u{9b}31m\u{202e}deretsiger → env=production
            hash         sha512 → sha256
        = audit         simple-signing  as declared
        - ci            simple-signing  there, and not wanted: superseded
        - release-2024  simple-signing  there, and not wanted: retired
        ? (unknown)     simple-signing  kept: foreign, payload sha256:a837b2378542
      2 \u{1b}[2J\u{1b}[1;1Hall good\r\n\u{9b}31m\u{202e}deretsiger  sha256:3fab5c181bd2  countersign.toml:20
        ! ghcr.io/acme/api:2  names sha256:d9298a10d1b0 now; the declared digest is what is signed
        ! ghcr.io/acme/api:2-old  is gone; the declared digest is what is signed
        = release  simple-signing  as declared
      = 2 images as declared: 2 kept
      1 optional image not there yet

    ghcr.io/acme/web  (signatures in ghcr.io/acme/signatures)
      3.0.1  sha256:4b5e57f6eb2f  countersign.toml:28
        + vault-room  simple-signing  missing
        + release     simple-signing  good, and to be renewed
        x ci          simple-signing  registry::throttled
            cannot read ghcr.io/acme/web:sha256-ab.sig: \u{1b}[2J\u{1b}[1;1Hall
            good\r\n\u{9b}31m\u{202e}deretsiger
            help: run again later, or set `requests_per_second` under [registries]
        x (the image)  image::child_type
            ghcr.io/acme/web:3.0.1 has a child

    Not resolved
      x ghcr.io/acme/web:9  image::not_found  countersign.toml:31
          ghcr.io/acme/web:9 does not exist
          help: push the image first, or mark the entry `optional = true`

    Warnings
      ! the certificate of release ends on 2026-12-31T23:59:59Z: replace it
        (signature::certificate_ends)

    Verify: 3 images as declared, 2 not as declared, 2 not known
    Next: mend what could not be read, and run again.
    "#);
}

#[test]
fn a_verification_tells_what_is_only_due() {
    let mut plan = sample::plan();
    let web = plan.targets.pop().unwrap();
    let due = |it: &Change| matches!(it, Change::Attach { to: Some(_), .. });
    let changes = web.changes.into_iter().filter(due).collect();
    plan.targets = vec![TargetPlan { changes, ..web }];
    plan.unresolved.clear();
    plan.warnings.clear();
    let verification = verify(&plan, sample::now());
    let text = page(Style::default(), |style, out| human::verification(&verification, style, out));
    insta::assert_snapshot!(text, @r#"
    ghcr.io/acme/web  (signatures in ghcr.io/acme/signatures)
      3.0.1  sha256:4b5e57f6eb2f  countersign.toml:28
        + release  simple-signing  good, and to be renewed

    Verify: 1 image as declared, 0 not as declared, 0 not known; 1 renewal due
    Next: run `countersign apply` before what is due has ended.
    "#);
}

#[test]
fn an_explanation_says_of_every_signature_why() {
    let explanation = explanation();
    let text = page(Style::default(), |style, out| human::explanation(&explanation, style, out));
    insta::assert_snapshot!(text, @r#"
    ghcr.io/acme/api@sha256:14c2529eb4498c5d1ffd6915d05bf58a91bdda796af59f41d480d11c099d0479
      name         ghcr.io/acme/api:1.4.2  (countersign.toml:12)
      signatures   ghcr.io/acme/api:sha256-14c2529eb4498c5d1ffd6915d05bf58a91bdda796af59f41d480d11c099d0479.sig
      manifest     sha256:5803587e6791c11992f31cb91a035dbbcd5659b5370e88c4e2f4d3dbba9fa3b7
      x registry::throttled
          cannot read ghcr.io/acme/web:sha256-ab.sig: \u{1b}[2J\u{1b}[1;1Hall
          good\r\n\u{9b}31m\u{202e}deretsiger
          help: run again later, or set `requests_per_second` under [registries]

      layer 0  = counts for release
          signer       release, key sha256:d26cd3953ce5b49a28af9d87ac4449797395e8014aa5f073c7e8cb809f02d772, sha256
          format       simple-signing
          payload      sha256:0b50c1696c6e06f5960d657517493bd71274d8faaa3524e81785633b9e728ee5
          digest       sha256:14c2529eb4498c5d1ffd6915d05bf58a91bdda796af59f41d480d11c099d0479
          identity     ghcr.io/acme/api
          annotations  env=production
          certificate  release@acme.example, valid from 2026-01-01T00:00:00Z to 2026-12-31T23:59:59Z, sha256:a371332142af
          evidence     1 timestamp that holds, proven to have existed at 2026-09-21T14:13:20Z

      layer 1  x does not count (superseded, kept)
          because not as declared: annotations
            annotations  env=\u{1b}[2J\u{1b}[1;1Hall good\r\n\u{9b}31m\u{202e}deretsiger → env=production
          signer       release, key sha256:d26cd3953ce5b49a28af9d87ac4449797395e8014aa5f073c7e8cb809f02d772, sha256
          format       simple-signing
          payload      sha256:6eea669bf3561ac9bf504b7683d5222675181e4c356a1d15f9b857c2ed30c5b1
          digest       sha256:14c2529eb4498c5d1ffd6915d05bf58a91bdda796af59f41d480d11c099d0479
          identity     ghcr.io/acme/api
          annotations  env=\u{1b}[2J\u{1b}[1;1Hall good\r\n\u{9b}31m\u{202e}deretsiger

      layer 2  x does not count (superseded, kept)
          because as declared, but another one counts already
          signer       release, key sha256:d26cd3953ce5b49a28af9d87ac4449797395e8014aa5f073c7e8cb809f02d772, sha256
          format       simple-signing
          payload      sha256:d2a81b0b3d1ea58bbafcd5e3e10e6ec1ac4c0f7e901ecc7cffdcd5a30a1f416a
          digest       sha256:14c2529eb4498c5d1ffd6915d05bf58a91bdda796af59f41d480d11c099d0479
          identity     ghcr.io/acme/api
          annotations  env=production

      layer 3  x does not count (retired, kept)
          because release-2024 is marked `retired`
          signer       release-2024, key sha256:d26cd3953ce5b49a28af9d87ac4449797395e8014aa5f073c7e8cb809f02d772, sha256
          format       simple-signing
          payload      sha256:a837b2378542e78a8344462f425a37a6c555f03d843a911d9200d2ab2a597dd5
          digest       sha256:14c2529eb4498c5d1ffd6915d05bf58a91bdda796af59f41d480d11c099d0479
          identity     ghcr.io/acme/api

      layer 4  x does not count (superseded, kept)
          because not as declared: digest
            digest  sha256:210277cb6266afe7c6cc4227ff3e9efc818f55234a7d7fbf033ab602440f2437 → sha256:14c2529eb4498c5d1ffd6915d05bf58a91bdda796af59f41d480d11c099d0479
          signer       ci, key sha256:d26cd3953ce5b49a28af9d87ac4449797395e8014aa5f073c7e8cb809f02d772, sha256
          format       simple-signing
          payload      sha256:93e36de797564e8a5b21bdd05c56afd643e3ea019a73d42bd77ebea27c331e47
          digest       sha256:210277cb6266afe7c6cc4227ff3e9efc818f55234a7d7fbf033ab602440f2437
          identity     ghcr.io/acme/api

      layer 5  x does not count (foreign, kept)
          because it verifies under no key of the spec, or is broken
          because it may be vault-room's, whose key is not known: the vault is down
            help: run again later
          signer       not known
          format       simple-signing
          payload      sha256:f8c29732888cff5995689ee68477041a70ea612423e68cc078e02519d5021a34
          digest       sha256:14c2529eb4498c5d1ffd6915d05bf58a91bdda796af59f41d480d11c099d0479
          identity     ghcr.io/acme/api

      layer 6  x does not count
          because its payload could not be read: cannot read ghcr.io/acme/web:sha256-ab.sig:
                  \u{1b}[2J\u{1b}[1;1Hall good\r\n\u{9b}31m\u{202e}deretsiger
            help: run again later, or set `requests_per_second` under [registries]
          signer       not known
          format       simple-signing
          payload      sha256:e2b3967debfc1c18df8b5574ed4ab303674f823aa9a7cfafda73d57223608170
          says         not read, or no claim

      layer 7  x does not count (foreign, kept)
          because no entry of the spec wants audit to sign this image
          signer       audit, key sha256:d26cd3953ce5b49a28af9d87ac4449797395e8014aa5f073c7e8cb809f02d772, sha256
          format       simple-signing
          payload      sha256:5a2e5ef1794970945d26fa5380d7879ad3d80442842fc3846724275022565b0e
          digest       sha256:14c2529eb4498c5d1ffd6915d05bf58a91bdda796af59f41d480d11c099d0479
          identity     ghcr.io/acme/api

      Wanted, and not there
        ~ ci  simple-signing  sign again
            digest  sha256:210277cb6266afe7c6cc4227ff3e9efc818f55234a7d7fbf033ab602440f2437 → sha256:14c2529eb4498c5d1ffd6915d05bf58a91bdda796af59f41d480d11c099d0479

    8 signatures, 1 of them counts; 1 wanted and not there
    "#);
}

#[test]
fn an_image_without_signatures_is_explained_too() {
    let target = sample::target("ghcr.io/acme/api", "api", &[":1.4.2"], 12);
    let signers: Signers = BTreeMap::new();
    let options = DiffOptions { now: sample::now(), cleaning: Cleaning::AsDeclared };
    let changes = diff(&target, &Observed::Missing, &signers, &options);
    let explanation = explain(&target, &Observed::Missing, &signers, &changes, options.now);
    let text = page(Style::default(), |style, out| human::explanation(&explanation, style, out));
    insta::assert_snapshot!(text, @r#"
    ghcr.io/acme/api@sha256:14c2529eb4498c5d1ffd6915d05bf58a91bdda796af59f41d480d11c099d0479
      name         ghcr.io/acme/api:1.4.2  (countersign.toml:12)
      signatures   ghcr.io/acme/api:sha256-14c2529eb4498c5d1ffd6915d05bf58a91bdda796af59f41d480d11c099d0479.sig
      manifest     none
      x image::not_found
          ghcr.io/acme/api@sha256:14c2529eb4498c5d1ffd6915d05bf58a91bdda796af59f41d480d11c099d0479 does
          not exist
          help: push the image first, or mark the entry `optional = true`

    0 signatures, 0 of them count; 0 wanted and not there
    "#);
}
