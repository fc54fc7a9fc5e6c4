//! countersign beside cosign: the same images, one registry, one run; at no distance and at 20 ms.
//!
//! `cargo bench --bench end_to_end [-- --images 100]` prints, for each distance, the time, the requests that the
//! registry logged, and how many times faster countersign was. Nothing is judged by the clock; that the signatures verify is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench"
)]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use support::cosign::{Cosign, KeyPair, SignOptions, VerifyOptions};
use support::delay::Delay;
use support::docker_registry::DockerRegistry;
use support::images::Publisher;
use support::requests::Requests;
use support::tools::{self, Finished, Tool};

const PASSWORD: &str = "of-the-bench";

fn main() {
    let arguments: Vec<String> = env::args().collect();
    // `cargo test --benches` starts this too, without the flag.
    if !arguments.iter().any(|it| it == "--bench") {
        println!("run it with: cargo bench --bench end_to_end");
        return;
    }
    if !tools::have(&[Tool::Cosign2, Tool::DockerRegistry]) {
        return;
    }
    let count = arguments.iter().position(|it| it == "--images").map_or(100, |at| {
        arguments.get(at + 1).and_then(|it| it.parse().ok()).expect("--images NUMBER")
    });
    for milliseconds in [0, 20] {
        compare(count, Duration::from_millis(milliseconds));
    }
}

fn compare(count: usize, round_trip: Duration) {
    let (registry, folder) = (DockerRegistry::start(), tempfile::tempdir().unwrap());
    let distance = (!round_trip.is_zero()).then(|| Delay::start(registry.address(), round_trip));
    let address = distance.as_ref().map_or_else(|| registry.address(), Delay::address);
    // Each signs images of its own; nobody finds the other's work done.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let publisher = Publisher::new(&registry);
    let mut images = |repository: &str| {
        let images = runtime.block_on(publisher.push_many(repository, count));
        let host = format!("{address}/{repository}");
        images.iter().map(|it| (format!("{host}@{}", it.digest()), it.digest())).collect::<Vec<_>>()
    };
    let [ours, once, looped] = ["countersign", "cosign-once", "cosign-loop"].map(&mut images);
    let references = |images: &[(String, String)]| -> Vec<String> {
        images.iter().map(|(reference, _)| reference.clone()).collect()
    };
    let cosign = Cosign::v2();
    let key = cosign.generate_key_pair(folder.path(), "release", PASSWORD);
    write_spec(folder.path(), &format!("{address}/countersign"), &ours);
    registry.take_requests();

    println!("\n{count} images, {} ms away, one key, simple signing", round_trip.as_millis());
    println!("{:<22}{:>9}{:>11}{:>10}{:>9}", "", "seconds", "images/s", "requests", "writes");
    let sign = |references: &[String]| cosign.sign(references, &key, &SignOptions::default());
    let once = Run::of(&registry, "cosign sign, all", count, || {
        sign(&references(&once)).success();
    });
    let looped = Run::of(&registry, "cosign sign, a loop", count, || {
        for reference in references(&looped) {
            sign(&[reference]).success();
        }
    });
    let applied = Run::of(&registry, "countersign apply", count, || {
        countersign(folder.path(), &["apply", "-f", "spec.toml", "--yes"]).success();
    });
    verify_some(&cosign, &key, &references(&ours));
    registry.take_requests();
    let planned = Run::of(&registry, "countersign plan, again", count, || {
        countersign(folder.path(), &["plan", "-f", "spec.toml", "--detailed-exitcode"]).success();
    });
    println!(
        "apply is {:.1} × as fast as one cosign, {:.1} × as a loop; {:.1} requests an image beside {:.1}; plan takes {:.1}",
        once.time.as_secs_f64() / applied.time.as_secs_f64(),
        looped.time.as_secs_f64() / applied.time.as_secs_f64(),
        applied.requests_per_image(),
        once.requests_per_image(),
        planned.requests_per_image(),
    );
}

/// What one way of doing it took.
struct Run {
    count: usize,
    time: Duration,
    requests: Requests,
}

impl Run {
    /// Does the work, and prints its line.
    fn of(registry: &DockerRegistry, name: &str, count: usize, work: impl FnOnce()) -> Self {
        let start = Instant::now();
        work();
        let (time, requests) = (start.elapsed(), registry.take_requests());
        let rate = count as f64 / time.as_secs_f64();
        let (all, writes) = (requests.len(), requests.writes().len());
        println!("{name:<22}{:>9.2}{rate:>11.1}{all:>10}{writes:>9}", time.as_secs_f64());
        Self { count, time, requests }
    }

    fn requests_per_image(&self) -> f64 {
        self.requests.len() as f64 / self.count as f64
    }
}

fn write_spec(folder: &Path, repository: &str, images: &[(String, String)]) {
    let digests: Vec<String> =
        images.iter().map(|(_, digest)| format!("  \"{digest}\",\n")).collect();
    let spec = format!(
        "version = 1\n\n\
         [signers.release]\n\
         key = \"release.key\"\n\
         public_key = \"release.pub\"\n\
         transparency_log = false\n\n\
         [defaults]\n\
         sign_with = [\"release\"]\n\n\
         [[images]]\n\
         repository = \"{repository}\"\n\
         digests = [\n{}]\n",
        digests.concat()
    );
    fs::write(folder.join("spec.toml"), spec).unwrap();
}

fn countersign(folder: &Path, arguments: &[&str]) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("COSIGN_PASSWORD", PASSWORD);
    Finished::of(&mut command)
}

/// A fast way to sign nothing must not win: the first, the middle and the last image.
fn verify_some(cosign: &Cosign, key: &KeyPair, references: &[String]) {
    for at in [0, references.len() / 2, references.len() - 1] {
        let verified = cosign.verify(&references[at], &key.trust(), &VerifyOptions::default());
        assert_eq!(verified.expect("a signature that cosign verifies").len(), 1);
    }
}
