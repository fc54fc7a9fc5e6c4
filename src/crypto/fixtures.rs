//! Keys and signatures that other tools made, for the tests of this folder; see their README.

macro_rules! fixtures {
    ($($name:literal),+ $(,)?) => {
        /// The text of a file in `tests/fixtures/keys`.
        pub(super) fn fixture(name: &str) -> &'static str {
            match name {
                $($name => include_str!(concat!("../../tests/fixtures/keys/", $name)),)+
                other => panic!("add {other} to the list of fixtures"),
            }
        }
    };
}

fixtures![
    "ed25519.key",
    "ed25519.pub",
    "ed25519.cosign2.sig",
    "ed25519.openssl.sha256.sig",
    "p256.key",
    "p256.pub",
    "p256.cosign2.sig",
    "p256.cosign3.sig",
    "p256.openssl.sha256.sig",
    "p256.openssl.sha384.sig",
    "p256.openssl.sha512.sig",
    "p384.key",
    "p384.pub",
    "p384.cosign2.sig",
    "p384.cosign3.sig",
    "p384.openssl.sha256.sig",
    "p384.openssl.sha384.sig",
    "p384.openssl.sha512.sig",
    "p521.key",
    "p521.pub",
    "p521.cosign2.sig",
    "p521.cosign3.sig",
    "p521.openssl.sha256.sig",
    "p521.openssl.sha384.sig",
    "p521.openssl.sha512.sig",
    "rsa2048.key",
    "rsa2048.pub",
    "rsa2048.cosign2.sig",
    "rsa2048.cosign3.sig",
    "rsa2048.openssl.sha256.sig",
    "rsa2048.openssl.sha384.sig",
    "rsa2048.openssl.sha512.sig",
    "rsa3072.key",
    "rsa3072.pub",
    "rsa3072.cosign2.sig",
    "rsa3072.cosign3.sig",
    "rsa3072.openssl.sha256.sig",
    "rsa3072.openssl.sha384.sig",
    "rsa3072.openssl.sha512.sig",
    "rsa4096.key",
    "rsa4096.pub",
    "rsa4096.cosign2.sig",
    "rsa4096.cosign3.sig",
    "rsa4096.openssl.sha256.sig",
    "rsa4096.openssl.sha384.sig",
    "rsa4096.openssl.sha512.sig",
    "p256.compressed.pub",
    "rsa2048.pkcs1.pub",
    "refused/explicit.pub",
    "refused/p224.pub",
    "refused/rsa-pss.pub",
    "refused/rsa1024.pub",
    "refused/rsa2560.pub",
    "refused/secp256k1.pub",
    "refused/x25519.pub",
];
