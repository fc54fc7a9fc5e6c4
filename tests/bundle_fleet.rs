//! Bundles in numbers, on both kinds of registry: writers who race, a fleet that moves from one format to the other,
//! and what a plan costs when nothing is left to do.
//!
//! `cargo test --test bundle_fleet -- --nocapture` shows the numbers; `ROUNDS=10` lets more writers race.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests"
)]

#[path = "support/program.rs"]
mod program;
#[path = "support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::sync::Barrier;
use std::thread;

use program::{Ends, PASSWORD, Workshop};
use support::cosign::{Cosign, Format, KeyPair, SignOptions, VerifyOptions};
use support::images::Image;
use support::registries::{Kind, Registry};
use support::requests::Requests;
use support::tools::{self, Finished, Tool};

/// How often six writers race on each registry, where `ROUNDS` does not say.
const ROUNDS: usize = 3;

/// How many images move.
const IMAGES: usize = 100;

fn ready() -> bool {
    tools::have(&[Tool::Cosign2, Tool::Cosign3, Tool::DockerRegistry])
}

fn pair(workshop: &Workshop, name: &str) -> KeyPair {
    Cosign::v3().generate_key_pair(workshop.path(), name, PASSWORD)
}

fn is_verified(reference: &str, pair: &KeyPair) -> bool {
    Cosign::v3().verify(reference, &pair.trust(), &VerifyOptions::default()).is_ok()
}

/// Three processes of ours and three of cosign 3 sign one digest with six keys at one moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_six_writers_none_loses_a_signature_of_ours() {
    if !ready() {
        return;
    }
    let rounds = std::env::var("ROUNDS").map_or(ROUNDS, |it| it.parse().unwrap());
    let workshop = Workshop::new("");
    let ours = ["ours-1", "ours-2", "ours-3"].map(|name| (name, pair(&workshop, name)));
    let theirs = ["theirs-1", "theirs-2", "theirs-3"].map(|name| pair(&workshop, name));
    for kind in Kind::BOTH {
        let registry = Registry::start(kind);
        let publisher = registry.publisher();
        for round in 0..rounds {
            let image = Image::oci(&format!("race {round}"));
            publisher.push("race", &image, None).await;
            let reference = registry.reference(&format!("race@{}", image.digest()));
            for (name, _) in &ours {
                workshop.write(&format!("{name}.toml"), spec_of(name, &reference));
            }
            race(&workshop, &reference, &ours, &theirs);
            let first = ours.iter().filter(|(_, pair)| is_verified(&reference, pair)).count();
            for (name, _) in &ours {
                apply(&workshop, name).success();
            }
            let kept = |pairs: &[&KeyPair]| {
                pairs.iter().filter(|pair| is_verified(&reference, pair)).count()
            };
            let after = kept(&ours.each_ref().map(|(_, pair)| pair));
            let others = kept(&theirs.each_ref());
            let listed = publisher.referrers("race", &image.digest()).await.len();
            eprintln!(
                "{kind:?} round {}: at once {first} of our 3; after one more apply of each {after} of our 3, \
                 {others} of their 3; {listed} bundles listed",
                round + 1
            );
            assert_eq!(after, 3, "none of ours is lost at the end");
            if kind == Kind::Api {
                assert_eq!((first, others, listed), (3, 3, 6), "the registry keeps the list");
            }
        }
    }
}

fn spec_of(signer: &str, reference: &str) -> String {
    format!(
        "version = 1\n[signers.{signer}]\nkey = \"{signer}.key\"\npublic_key = \"{signer}.pub\"\n\
         transparency_log = false\n[defaults]\nsign_with = [\"{signer}\"]\nformats = [\"bundle\"]\n\
         [[images]]\nreference = \"{reference}\"\n"
    )
}

fn apply(workshop: &Workshop, signer: &str) -> Finished {
    let spec = format!("{signer}.toml");
    workshop.run_with_password(&["apply", "--yes", "--no-cache", "-f", &spec])
}

fn race(workshop: &Workshop, reference: &str, ours: &[(&str, KeyPair)], theirs: &[KeyPair]) {
    let start = Barrier::new(ours.len() + theirs.len());
    let options = SignOptions { format: Format::Bundle, ..SignOptions::default() };
    thread::scope(|scope| {
        for (name, _) in ours {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                apply(workshop, name)
            });
        }
        for pair in theirs {
            let (start, options) = (&start, &options);
            scope.spawn(move || {
                start.wait();
                Cosign::v3().sign(&[reference], pair, options)
            });
        }
    });
}

/// A hundred images go from the tag to both formats to bundles, and then cost what DESIGN says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_moves_in_three_applies_and_then_costs_one_request_an_image() {
    if !ready() {
        return;
    }
    for kind in Kind::BOTH {
        let registry = Registry::start(kind);
        let images = registry.publisher().push_many("move", IMAGES).await;
        let references: Vec<String> = images
            .iter()
            .map(|image| registry.reference(&format!("move@{}", image.digest())))
            .collect();
        let workshop = Workshop::new("");
        let pairs = ["release", "ci"].map(|name| pair(&workshop, name));
        for (formats, by_2, by_3) in [
            ("\"simple-signing\"", true, true),
            ("\"simple-signing\", \"bundle\"", true, true),
            ("\"bundle\"", false, true),
        ] {
            workshop.spec(&fleet(&references, formats, "superseded"));
            let done = workshop.apply();
            let applied = done.stdout.lines().find(|it| it.starts_with("Apply:")).unwrap();
            let verified = |cosign: Cosign| {
                pairs.each_ref().map(|pair| all_verified(&cosign, &references, pair))
            };
            let (second, third) = (verified(Cosign::v2()), verified(Cosign::v3()));
            eprintln!(
                "{kind:?} [{formats}] {applied}; cosign 2.5 {second:?}, cosign 3.1 {third:?}"
            );
            assert_eq!((second, third), ([by_2; 2], [by_3; 2]), "{kind:?} {formats}");
        }
        workshop.spec(&fleet(&references, "\"bundle\"", "keep"));
        let [cold, warm, none] = [&[][..], &[], &["--no-cache"]].map(|more| {
            registry.take_requests();
            let arguments = [&["plan", "--detailed-exitcode"][..], more].concat();
            let mut command = workshop.command(&arguments);
            command.env("XDG_CACHE_HOME", workshop.path().join("another cache"));
            Finished::of(&mut command).ends(0);
            Counts::of(&registry.take_requests())
        });
        eprintln!(
            "{kind:?} plan over {IMAGES} images, 2 bundles each: cold {cold:?}, warm {warm:?}, without a cache {none:?}"
        );
        let lists = match kind {
            // One for each image.
            Kind::Api => Counts { referrers: IMAGES, ..Counts::default() },
            // One finds out that there is no API.
            Kind::Tag => Counts { referrers: 1, tags: IMAGES, ..Counts::default() },
        };
        let all = Counts { manifests: 2 * IMAGES, blobs: 2 * IMAGES, ..lists };
        assert_eq!((cold, warm, none), (all, lists, all));
    }
}

/// Requests of a plan, by what they ask for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Counts {
    /// Lists that the registry keeps.
    referrers: usize,
    /// Lists behind a tag.
    tags: usize,
    manifests: usize,
    blobs: usize,
    /// Anything else.
    other: usize,
}

impl Counts {
    fn of(requests: &Requests) -> Self {
        let mut counts = Self::default();
        for request in requests.iter() {
            let path = &request.path;
            let count = match request.method.as_str() {
                "GET" if path.contains("/referrers/") => &mut counts.referrers,
                "GET" if path.contains("/manifests/sha256-") => &mut counts.tags,
                "GET" if path.contains("/manifests/sha256:") => &mut counts.manifests,
                "GET" if path.contains("/blobs/sha256:") => &mut counts.blobs,
                _ => &mut counts.other,
            };
            *count += 1;
        }
        counts
    }
}

fn fleet(references: &[String], formats: &str, prune: &str) -> String {
    let mut spec = String::from("version = 1\n");
    for signer in ["release", "ci"] {
        let keys = format!("key = \"{signer}.key\"\npublic_key = \"{signer}.pub\"");
        write!(spec, "[signers.{signer}]\n{keys}\ntransparency_log = false\n").unwrap();
    }
    let defaults = format!("formats = [{formats}]\nprune = \"{prune}\"");
    write!(spec, "[defaults]\nsign_with = [\"release\", \"ci\"]\n{defaults}\n").unwrap();
    for reference in references {
        write!(spec, "[[images]]\nreference = \"{reference}\"\n").unwrap();
    }
    spec
}

/// Says whether one command of cosign verifies all: it fails if one image does.
fn all_verified(cosign: &Cosign, references: &[String], pair: &KeyPair) -> bool {
    let mut arguments = vec!["verify".into(), "--insecure-ignore-tlog".into(), "--key".into()];
    arguments.push(pair.public.clone().into());
    arguments.extend(references.iter().map(Into::into));
    cosign.run(&arguments, "").is_success()
}
