//! `generate-key-pair` in each service that makes keys, as somebody at the command line does it.

use super::support::fakes::gcp::RING;
use super::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_of_each_service_is_there_and_none_is_overwritten() {
    let test = "creation::a_new_key_of_each_service_is_there_and_none_is_overwritten";
    let Some(world) = World::start(test).await else { return };
    for name in ["COSIGN_PRIVATE_KEY", "COSIGN_PASSWORD", "COSIGN_PUBLIC_KEY"] {
        world.gitlab.state.remove(name);
    }
    let plugin = format!("local://{}", world.path().join("new.pem").display());
    for (name, arguments) in [
        ("aws", ["--kms", "awskms:///alias/new"].as_slice()),
        ("azure", &["--kms", &format!("azurekms://{}/new", world.azure.address())]),
        ("cluster", &["k8s://signing/new"]),
        ("gcp", &["--kms", &format!("gcpkms://{RING}/new")]),
        ("plugin", &["--kms", &plugin]),
        ("project", &["gitlab://acme/signing"]),
        ("vault", &["--kms", "hashivault://new"]),
    ] {
        let key = *arguments.last().unwrap();
        let generate = [&["generate-key-pair", "--output-key-prefix", name], arguments].concat();
        let ended = world.run(world.ours(&generate).env("COSIGN_PASSWORD", "test")).success();
        assert!(ended.stderr.contains(&format!("Public key written to {name}.pub")), "{ended:?}");
        let shown = world.run(&mut world.ours(&["public-key", "--key", key])).success();
        let file = world.path().join(format!("{name}.pub"));
        assert_eq!(shown.stdout, std::fs::read_to_string(file).unwrap(), "{name}");
        // Not even where files may be replaced.
        let again = [&generate[..], &["--yes"]].concat();
        let refused = world.run(world.ours(&again).env("COSIGN_PASSWORD", "other")).failure();
        assert!(refused.stderr.contains("key::exists"), "{refused:?}");
        let still = world.run(&mut world.ours(&["public-key", "--key", key])).success();
        assert_eq!(still.stdout, shown.stdout, "{name}");
    }
    let token = "pkcs11:token=release;object=new";
    let refused = world.run(&mut world.ours(&["generate-key-pair", "--kms", token])).failure();
    assert!(refused.stderr.contains("are not made from here"), "{refused:?}");
}
