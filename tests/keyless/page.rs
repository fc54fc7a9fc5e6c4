//! The specs of docs/keyless.md, run as they stand there.

use std::fs;
use std::path::Path;

use crate::program::{Ends, PASSWORD, Workshop};
use crate::support::docker_registry::DockerRegistry;
use crate::support::images::Publisher;
use crate::support::sigstore::{Log, Sigstore};
use crate::support::tools::Finished;
use crate::world::{WHO, is_ready};

/// What the page says of the public instance, where its specs name no deployment.
const FILES: &str = "version = 1\n\n[sigstore]\nsigning_config = \"sigstore/signing_config.json\"\n\
                     trusted_root = \"sigstore/trusted_root.json\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_specs_of_the_page_sign_and_then_have_nothing_to_do() {
    if !is_ready() {
        return;
    }
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/keyless.md"));
    let page = page.unwrap();
    let names: Vec<&str> = page
        .split("<!-- spec ")
        .skip(1)
        .map(|it| it.split_once(" -->").expect("a mark ends").0)
        .collect();
    assert_eq!(names, ["workflow", "claims", "key", "private"]);
    for name in names {
        run(name, &block(&page, name)).await;
    }
}

async fn run(name: &str, text: &str) {
    let (sigstore, registry) = (Sigstore::start(), DockerRegistry::start());
    // What an earlier spec has had recorded would be found again: other images.
    let repository = format!("acme/{name}");
    Publisher::new(&registry).push_many(&repository, 1).await;
    let workshop = Workshop::new("");
    workshop.key("p256", "release");
    let files = workshop.path().join("sigstore");
    fs::create_dir(&files).unwrap();
    // Both formats need Rekor v1; a bundle alone takes Rekor v2, with a timestamp.
    let log = if text.contains("simple-signing") { Log::RekorV1 } else { Log::RekorV2 };
    for (from, to) in [
        (sigstore.signing_config(&[log], 1), "signing_config.json"),
        (sigstore.trusted_root(), "trusted_root.json"),
        (sigstore.folder().join("timestamps.pem"), "timestamps.pem"),
    ] {
        fs::copy(from, files.join(to)).unwrap();
    }
    let named = if text.contains("[sigstore]") {
        text.to_owned()
    } else {
        text.replacen("version = 1\n", FILES, 1)
    };
    let spec = named
        .replace("https://token.actions.githubusercontent.com", sigstore.github_issuer())
        .replace("https://issuer.example.com", sigstore.issuer())
        .replace("https://tsa.example.com", &sigstore.timestamps.url())
        .replace("reg.example.com/acme/app", &registry.reference(&repository))
        .replace("\"1.*\"", "\"*\"");
    workshop.spec(&spec);
    let job = sigstore.github_actions("acme/app");
    let apply = || {
        let mut command = workshop.command(&["apply", "--yes"]);
        command.env("COSIGN_PASSWORD", PASSWORD);
        match text.contains("githubusercontent") {
            true => command.envs(job.environment()),
            false => command.env("SIGSTORE_ID_TOKEN", sigstore.token(WHO)),
        };
        Finished::of(&mut command)
    };
    workshop.run(&["plan", "--detailed-exitcode"]).ends(2);
    apply().ends(0);
    workshop.run(&["plan", "--detailed-exitcode"]).ends(0);
    workshop.run(&["verify"]).ends(0);

    // Another repository's workflow, or another person, is not who the spec expects.
    if text.contains("keyless") {
        Publisher::new(&registry).push_many(&repository, 2).await;
        let token = match text.contains("githubusercontent") {
            true => sigstore.github_token("mallory/app"),
            false => sigstore.token("mallory@example.com"),
        };
        sigstore.rekor_v2.requests();
        let mut command = workshop.command(&["apply", "--yes"]);
        let refused = Finished::of(command.env("SIGSTORE_ID_TOKEN", token)).ends(77);
        assert!(format!("{refused:?}").contains("mallory"), "{refused:?}");
        assert_eq!(sigstore.rekor_v2.made(), 0, "nothing is logged for somebody else");
    }
}

fn block(page: &str, name: &str) -> String {
    let mark = format!("<!-- spec {name} -->\n```toml\n");
    let begin = page.find(&mark).unwrap_or_else(|| panic!("no spec {name}")) + mark.len();
    page[begin..].split_once("```\n").unwrap().0.to_owned()
}
