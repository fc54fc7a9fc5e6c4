//! The language: every table and key of a spec, with its type, default and meaning. Pure.

mod images;

use crate::spec::language::images::{DEFAULTS, IMAGE, IMAGES_FROM};
use crate::spec::table::{Kind, Table, field};

/// What `hash` takes.
pub(super) const HASHES: &[&str] = &["sha256", "sha384", "sha512"];

/// The whole file.
pub(super) static SPEC: Table = Table {
    name: "spec",
    noun: "the spec",
    doc: "Which images must carry which signatures: the spec of countersign.",
    fields: &[
        field("version", Kind::Integer(1, 1), "1", "The version of the language: 1.").required(),
        field(
            "include",
            Kind::Texts,
            r#"["teams/*.toml"]"#,
            "More files to read, as names and patterns (`*`, `?`, `[…]`, `**`), relative to this file. Their `[defaults]` come over those of this file.",
        ),
        field(
            "variables",
            Kind::Variables,
            r#"{ TAG = "1.0" }"#,
            "Variables with their defaults, for `${NAME}` in any text; `--var` and `--var-file` come over them. Only in the first file.",
        ),
        field(
            "sigstore",
            Kind::Section(&SIGSTORE),
            r#"{ trusted_root = "trusted_root.json" }"#,
            "A private sigstore deployment. Only in the first file.",
        ),
        field(
            "registries",
            Kind::Named(&REGISTRY),
            r#"{ "ghcr.io" = { concurrency = 8 } }"#,
            "How to talk to registries, by host or pattern; the longest that matches wins. Only in the first file.",
        ),
        field(
            "signers",
            Kind::Named(&SIGNER),
            r#"{ release = { key = "cosign.key" } }"#,
            "Who signs, by names that the rest of the spec uses.",
        ),
        field(
            "defaults",
            Kind::Section(&DEFAULTS),
            r#"{ sign_with = ["release"] }"#,
            "What holds for every image of this file, and of the files that it includes, unless they say otherwise.",
        ),
        field("images", Kind::Sections(&IMAGE), "[[images]]", "The images that must be signed."),
        field(
            "images_from",
            Kind::Sections(&IMAGES_FROM),
            "[[images_from]]",
            "Images that a build wrote into a file. Takes the keys of `[[images]]` too.",
        ),
    ],
};

static SIGSTORE: Table = Table {
    name: "sigstore",
    noun: "`[sigstore]`",
    doc: "A private sigstore deployment; the default is the public instance, whose trusted root and signing config come through TUF.",
    fields: &[
        field(
            "signing_config",
            Kind::Text,
            r#""sigstore/signing_config.json""#,
            "The file that names Fulcio, Rekor, timestamp authorities and OIDC issuers. Without it nothing can be signed that needs one of them.",
        ),
        field(
            "trusted_root",
            Kind::Text,
            r#""sigstore/trusted_root.json""#,
            "The file with the keys and certificates to trust. Needed.",
        ),
    ],
};

static REGISTRY: Table = Table {
    name: "registry",
    noun: "a registry",
    doc: "How to talk to the registries whose host matches.",
    fields: &[
        field("requests_per_second", Kind::Number, "20", "At most so many requests a second."),
        field("writes_per_second", Kind::Number, "5", "At most so many writes a second."),
        field("concurrency", Kind::Integer(1, 10_000), "8", "At most so many requests at once.").default("16"),
        field("ca_file", Kind::Text, r#""certs/registry-ca.pem""#, "A PEM file with authorities to trust besides the machine's."),
        field("client_certificate", Kind::Text, r#""certs/client.pem""#, "A PEM file with the certificate that identifies this client (mTLS)."),
        field("client_key", Kind::Text, r#""certs/client.key""#, "The PEM file with the key of `client_certificate`."),
        field("plain_http", Kind::Flag, "true", "Speak HTTP instead of HTTPS. On loopback it is tried without asking.").default("false"),
        field("skip_tls_verify", Kind::Flag, "true", "Do not check the certificate of the registry.").default("false"),
        field("proxy", Kind::Text, r#""http://proxy.example.com:3128""#, "The URL of the proxy to use."),
        field("username_env", Kind::Text, r#""GHCR_USER""#, "The environment variable with the user name; needs `--allow-env NAME@HOST`. Without it, Docker's and podman's config decide."),
        field("password_env", Kind::Text, r#""GHCR_TOKEN""#, "The environment variable with the password or token; needs `--allow-env NAME@HOST`."),
        field("immutable_tags", Kind::Flag, "true", "The registry refuses to overwrite tags: a second write of a signature tag is planned as blocked.").default("false"),
    ],
};

static SIGNER: Table = Table {
    name: "signer",
    noun: "a signer",
    doc: "Somebody who signs: with a key, with an identity, or elsewhere (only a public key).",
    fields: &[
        field("key", Kind::Text, r#""cosign.key""#, "The key, as cosign refers to it: a file in cosign's encrypted format, `env://NAME`, or where a service has it (`awskms:///alias/release`)."),
        field("password_env", Kind::Text, r#""RELEASE_PASSWORD""#, "The environment variable with the password of the key; needs `--allow-env`. The default is COSIGN_PASSWORD, else the terminal."),
        field("password_file", Kind::Text, r#""release.password""#, "The file with the password of the key."),
        field("public_key", Kind::Text, r#""keys/release.pub""#, "A PEM file with the public key, or a reference like `key`, which is asked for it once a run. With it, plan and verify never touch the key; alone, it says that the signatures are made elsewhere."),
        field("certificate", Kind::Text, r#""certs/release.pem""#, "A PEM file with the certificate that every signature carries."),
        field("certificate_chain", Kind::Text, r#""certs/chain.pem""#, "A PEM file with the certificates above `certificate`, the root last."),
        field("transparency_log", Kind::Flag, "false", "Whether every signature needs an entry in a transparency log, as the signing config names them. Entries are public for good; the plan counts them. Retired signers and those with only a `public_key` need none by default.").default("true"),
        field("timestamp_authorities", Kind::Sections(&TIMESTAMP_AUTHORITY), r#"[{ url = "https://tsa.example.com/api/v1/timestamp" }]"#, "Who proves the time of every signature: it then needs a timestamp of each. Without it an identity takes those of the signing config, and a key takes none; `[]` is nobody."),
        field("renew_before", Kind::Text, r#""14d""#, "Without proof of time: replace the certificate this long before its end. A number with s, m, h, d or w.").default("\"0d\""),
        field("retired", Kind::Flag, "true", "It signs no more, and its signatures may go: see `prune`.").default("false"),
        field("hash", Kind::Choice(HASHES), r#""sha256""#, "The hash of its signatures; other than `sha256`, verifiers must be told.").default("\"sha256\""),
        field("keyless", Kind::Section(&KEYLESS), r#"{ issuer = "https://accounts.google.com", identity = "release@example.com" }"#, "An identity that signs with short-lived certificates, without a key. Something must prove the time: a timestamp, or a log of Rekor v1."),
    ],
};

static TIMESTAMP_AUTHORITY: Table = Table {
    name: "timestamp_authority",
    noun: "a timestamp authority",
    doc: "Somebody who proves the time of a signature (RFC 3161).",
    fields: &[
        field(
            "url",
            Kind::Text,
            r#""https://tsa.example.com/api/v1/timestamp""#,
            "Where to ask for a timestamp.",
        )
        .required(),
        field(
            "certificate_chain",
            Kind::Text,
            r#""certs/tsa.pem""#,
            "A PEM file with the certificates of the authority, the root last.",
        ),
    ],
};

static KEYLESS: Table = Table {
    name: "keyless",
    noun: "`keyless`",
    doc: "The identity that a certificate must have.",
    fields: &[
        field(
            "issuer",
            Kind::Text,
            r#""https://accounts.google.com""#,
            "Who vouches for the identity: the OIDC issuer.",
        ),
        field(
            "issuer_regexp",
            Kind::Text,
            r#""https://.*""#,
            "A regular expression (RE2) for the whole issuer, instead of `issuer`.",
        ),
        field(
            "identity",
            Kind::Text,
            r#""release@example.com""#,
            "The identity: an address or a workflow.",
        ),
        field(
            "identity_regexp",
            Kind::Text,
            r#"".*@example\\.com""#,
            "A regular expression (RE2) for the whole identity, instead of `identity`. Whatever it matches counts.",
        ),
        field(
            "github",
            Kind::Section(&GITHUB),
            r#"{ repository = "acme/app" }"#,
            "What the certificate must say about a GitHub workflow.",
        ),
    ],
};

static GITHUB: Table = Table {
    name: "github",
    noun: "`github`",
    doc: "What the certificate must say about a GitHub workflow.",
    fields: &[
        field(
            "repository",
            Kind::Text,
            r#""acme/app""#,
            "The repository that the workflow ran for.",
        ),
        field("name", Kind::Text, r#""release""#, "The name of the workflow."),
        field(
            "ref",
            Kind::Text,
            r#""refs/heads/main""#,
            "The git reference that the workflow ran on.",
        ),
        field("sha", Kind::Text, r#""0123abcd""#, "The commit that the workflow ran on."),
        field("trigger", Kind::Text, r#""push""#, "The event that started the workflow."),
    ],
};
