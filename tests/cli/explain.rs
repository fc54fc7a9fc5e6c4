//! `countersign explain`.

use super::sandbox::Sandbox;

#[test]
fn every_signature_is_explained() {
    let sandbox = Sandbox::new();
    sandbox.edit("prune = \"superseded\"", "prune = \"keep\"");
    sandbox.run_with_password(&["apply", "--yes"]).expect(0);
    sandbox.edit("\"production\"", "\"staging\"");
    sandbox.run_with_password(&["apply", "--yes"]).expect(0);
    let ended = sandbox.run(&["explain", "oci:./images:api"]);
    insta::assert_snapshot!(ended, @r"
    exit 0
    --- stdout
    oci:images@sha256:############
      name         oci:images:api  (countersign.toml:14)
      signatures   oci:images:sha256-############.sig
      manifest     sha256:############

      layer 0  x does not count (superseded, kept)
          because not as declared: annotations
            annotations  env=production → env=staging
          signer       release, key sha256:############, sha256
          format       simple-signing
          payload      sha256:############
          digest       sha256:############
          identity     registry.example.com/api
          annotations  env=production

      layer 1  = counts for release
          signer       release, key sha256:############, sha256
          format       simple-signing
          payload      sha256:############
          digest       sha256:############
          identity     registry.example.com/api
          annotations  env=staging

    2 signatures, 1 of them counts; 0 wanted and not there
    ");
}

#[test]
fn an_image_outside_the_spec_is_held_against_all_signers() {
    let sandbox = Sandbox::new();
    sandbox.run_with_password(&["apply", "--yes"]).expect(0);
    let spec = sandbox.read("countersign.toml");
    let (rest, _) = spec.split_once("[[images]]\nreference = \"oci:images:web\"").unwrap();
    sandbox.write("countersign.toml", rest);
    let ended = sandbox.run(&["explain", "oci:images:web"]);
    insta::assert_snapshot!(ended, @r"
    exit 0
    --- stdout
    oci:images@sha256:############
      name         oci:images:web  (the command line:1)
      signatures   oci:images:sha256-############.sig
      manifest     sha256:############

      layer 0  x does not count (foreign, kept)
          because no entry of the spec wants release to sign this image
          signer       release, key sha256:############, sha256
          format       simple-signing
          payload      sha256:############
          digest       sha256:############
          identity     registry.example.com/web
          annotations  env=production

    1 signature, 0 of them count; 0 wanted and not there
    ");
}

#[test]
fn json_is_as_its_schema_says() {
    let sandbox = Sandbox::new();
    sandbox.run_with_password(&["apply", "--yes"]).expect(0);
    let schema = sandbox.run(&["schema", "explanation"]).expect(0).json();
    let made = sandbox.run(&["explain", "oci:images:api", "--format", "json"]).expect(0).json();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&made), "{made}");
}

#[test]
fn what_is_no_image_or_not_there_is_told() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.run(&["explain", "oci:images:nope"]), @r"
    exit 1
    --- stderr
    error[registry::not_found]: cannot explain oci:images:nope
      caused by: cannot resolve oci:images:nope: the layout does not have it
    ");
    insta::assert_snapshot!(sandbox.run(&["explain", "ghcr.io/Acme/api"]), @r"
    exit 64
    --- stderr
    error[cli::usage]: cannot explain ghcr.io/Acme/api
      caused by: `ghcr.io/Acme/api` is not a reference: a repository is made of lower-case letters, digits, `.`, `_`, `__`, `-` and `/`
      help: write it as the spec does: REPOSITORY:TAG, REPOSITORY@DIGEST, or oci:PATH:TAG
    ");
    insta::assert_snapshot!(sandbox.run(&["explain", "oci:images"]), @r"
    exit 64
    --- stderr
    error[cli::usage]: oci:images names no image
      help: add a tag or a digest, as in oci:PATH:TAG
    ");
}
