//! Keyless signatures beside cosign's: the same number of images, one set of sigstore's services, one run.
//!
//! `cargo bench --bench keyless [-- --images 50]` prints the time, certificates, log entries and timestamps of each. Bundles,
//! with Rekor v2 (a checkpoint each 200 ms) and one timestamp authority. Nothing is judged by the clock; that the
//! signatures verify is.
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

use std::ffi::OsString;
use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use support::docker_registry::DockerRegistry;
use support::images::{Image, Publisher};
use support::sigstore::{Log, SERVICES, Sigstore};
use support::tools::{self, Finished, Home, Tool};

const WHO: &str = "release@example.com";

fn main() {
    let arguments: Vec<String> = env::args().collect();
    // `cargo test --benches` starts this too, without the flag.
    if !arguments.iter().any(|it| it == "--bench") {
        println!("run it with: cargo bench --bench keyless");
        return;
    }
    if !tools::have(&[SERVICES, &[Tool::Cosign3, Tool::DockerRegistry]].concat()) {
        return;
    }
    let count = arguments.iter().position(|it| it == "--images").map_or(50, |at| {
        arguments.get(at + 1).and_then(|it| it.parse().ok()).expect("--images NUMBER")
    });
    compare(count);
}

fn compare(count: usize) {
    let (registry, sigstore, home) = (DockerRegistry::start(), Sigstore::start(), Home::new());
    // Each signs images of its own; nobody finds the other's work done.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let publisher = Publisher::new(&registry);
    let images = |who: &str| -> Vec<String> {
        let push = |number: usize| {
            let (repository, publisher, registry) =
                (format!("{who}/{number}"), &publisher, &registry);
            async move {
                let image = Image::oci(&repository);
                publisher.push(&repository, &image, None).await;
                registry.reference(&format!("{repository}@{}", image.digest()))
            }
        };
        (0..count).map(|number| runtime.block_on(push(number))).collect()
    };
    let [ours, once, looped] = ["countersign", "cosign-once", "cosign-loop"].map(images);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("spec.toml"), spec(&sigstore, &ours)).unwrap();
    let cosign = |images: &[String]| {
        let mut arguments: Vec<OsString> = vec!["sign".into(), "--yes".into()];
        arguments.extend(["--signing-config".into(), config(&sigstore).into()]);
        arguments.extend(["--trusted-root".into(), sigstore.trusted_root().into()]);
        arguments.extend(["--identity-token".into(), sigstore.token(WHO).into()]);
        arguments.extend(images.iter().map(OsString::from));
        home.run(Tool::Cosign3, &arguments).success();
    };
    let countersign = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(arguments).env_clear().env("HOME", folder.path()).current_dir(folder.path());
        Finished::of(command.env("SIGSTORE_ID_TOKEN", sigstore.token(WHO))).success();
    };

    println!("\n{count} images, keyless, bundles, Rekor v2 and one timestamp each");
    println!(
        "{:<24}{:>9}{:>14}{:>13}{:>12}",
        "", "seconds", "certificates", "log entries", "timestamps"
    );
    let once = run(&sigstore, "cosign sign, all", || cosign(&once));
    let looped = run(&sigstore, "cosign sign, a loop", || looped.chunks(1).for_each(&cosign));
    let applied =
        run(&sigstore, "countersign apply", || countersign(&["apply", "-f", "spec.toml", "--yes"]));
    run(&sigstore, "countersign plan, again", || {
        countersign(&["plan", "-f", "spec.toml", "--detailed-exitcode"]);
    });
    println!(
        "apply is {:.1} × as fast as one cosign, {:.1} × as a loop",
        once.as_secs_f64() / applied.as_secs_f64(),
        looped.as_secs_f64() / applied.as_secs_f64(),
    );
    verify(&sigstore, &home, &ours[0]);
    verify(&sigstore, &home, &ours[count - 1]);
}

/// Does the work, and prints its line.
fn run(sigstore: &Sigstore, name: &str, work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    let time = start.elapsed();
    let [certificates, entries, timestamps] =
        [&sigstore.fulcio, &sigstore.rekor_v2, &sigstore.timestamps].map(|it| it.made());
    println!(
        "{name:<24}{:>9.2}{certificates:>14}{entries:>13}{timestamps:>12}",
        time.as_secs_f64()
    );
    time
}

fn config(sigstore: &Sigstore) -> std::path::PathBuf {
    sigstore.signing_config(&[Log::RekorV2], 1)
}

fn spec(sigstore: &Sigstore, images: &[String]) -> String {
    let mut spec = format!(
        "version = 1\n[sigstore]\nsigning_config = {:?}\ntrusted_root = {:?}\n\
         [signers.release]\nkeyless = {{ issuer = {:?}, identity = {WHO:?} }}\n\
         [defaults]\nsign_with = [\"release\"]\nformats = [\"bundle\"]\n",
        config(sigstore),
        sigstore.trusted_root(),
        sigstore.issuer(),
    );
    for image in images {
        writeln!(spec, "[[images]]\nreference = {image:?}").unwrap();
    }
    spec
}

fn verify(sigstore: &Sigstore, home: &Home, image: &str) {
    let mut arguments: Vec<OsString> = vec!["verify".into(), "--trusted-root".into()];
    arguments.push(sigstore.trusted_root().into());
    arguments.extend(["--certificate-identity".into(), WHO.into()]);
    arguments.extend(["--certificate-oidc-issuer".into(), sigstore.issuer().into()]);
    arguments.extend(["--use-signed-timestamps".into(), image.into()]);
    home.run(Tool::Cosign3, &arguments).success();
}
