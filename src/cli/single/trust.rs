//! Whom `verify IMAGE` trusts, from cosign's flags.

use countersign::crypto::{
    Authorities, Certificate, CertificateError, Chain, IdentityPattern, TextPattern, Workflow,
};
use countersign::exit_code::ExitCode;
use countersign::plan::Trust;
use regex::Regex;

use super::verify_args::{IdentityArgs, VerifyImageArgs};
use super::{Context, Failed, not_yet, public_key, read_text};

/// A key, or authorities and an identity; never both, and never neither.
pub(crate) async fn trust(args: &VerifyImageArgs, context: &Context) -> Result<Trust, Failed> {
    let flags = &args.identity;
    let named = flags.certificate_identity.is_some() || flags.certificate_identity_regexp.is_some();
    match &args.key {
        Some(_) if named => Err(Failed::usage(
            "--key and --certificate-identity are two ways to say who must have signed",
        )
        .help("leave one of them out")),
        Some(key) => Ok(Trust::Key(public_key(key, context).await?)),
        None => certified(flags),
    }
}

fn certified(flags: &IdentityArgs) -> Result<Trust, Failed> {
    let identity = identity(flags)?;
    let authorities = match (&flags.certificate_chain, &flags.ca_roots) {
        (Some(path), _) => Authorities::of_chain(&chain(path)?),
        (None, Some(path)) => {
            let between = flags.ca_intermediates.as_deref().map(chain).transpose()?;
            Authorities::new(&chain(path)?, between.as_ref())
        }
        (None, None) => {
            return Err(not_yet(
                "trusting the authorities of sigstore (keyless)",
                "name your own, with --ca-roots or --certificate-chain; or a key, with --key",
            ));
        }
    };
    if !flags.ignore_sct.on {
        return Err(not_yet(
            "verifying that a certificate is in a log of certificates",
            "add --insecure-ignore-sct: authorities of your own have no such log",
        ));
    }
    let Some(path) = &flags.certificate else {
        return Ok(Trust::Authorities { authorities, identity });
    };
    let wrong = |error: &dyn std::error::Error| {
        let text = format!("the certificate in {} is not trusted", path.display());
        Failed::new(ExitCode::NotAsDeclared, "signature::no_match", text)
            .because(error)
            .help("check the chain, the identity and the issuer")
    };
    let certificate = Certificate::from_pem(&read_text(path)?).map_err(|it| wrong(&it))?;
    // cosign looks at a certificate that is named as it was at its first moment.
    let checked = authorities.verify(&certificate, None, certificate.not_before());
    checked.map_err(|it| wrong(&it))?;
    identity.check(&certificate).map_err(|why| wrong(&CertificateError::Untrusted(why)))?;
    Ok(Trust::Key(certificate.public_key().clone()))
}

fn chain(path: impl AsRef<std::path::Path>) -> Result<Chain, Failed> {
    let path = path.as_ref();
    Chain::from_pem(&read_text(path)?).map_err(|error| {
        Failed::usage(format!("{} holds no certificates", path.display())).because(&error)
    })
}

fn identity(flags: &IdentityArgs) -> Result<IdentityPattern, Failed> {
    let subject = pattern(
        flags.certificate_identity.as_deref(),
        flags.certificate_identity_regexp.as_deref(),
        "--certificate-identity",
    )?;
    let issuer = pattern(
        flags.certificate_oidc_issuer.as_deref(),
        flags.certificate_oidc_issuer_regexp.as_deref(),
        "--certificate-oidc-issuer",
    )?;
    let workflow = [
        (Workflow::Trigger, &flags.certificate_github_workflow_trigger),
        (Workflow::Sha, &flags.certificate_github_workflow_sha),
        (Workflow::Name, &flags.certificate_github_workflow_name),
        (Workflow::Repository, &flags.certificate_github_workflow_repository),
        (Workflow::Ref, &flags.certificate_github_workflow_ref),
    ];
    let workflow = workflow.into_iter().filter_map(|(what, text)| Some((what, text.clone()?)));
    Ok(IdentityPattern { subject, issuer, workflow: workflow.collect() })
}

/// Of both, the expression counts, as in cosign.
fn pattern(
    exactly: Option<&str>,
    expression: Option<&str>,
    flag: &str,
) -> Result<TextPattern, Failed> {
    match (exactly, expression) {
        (_, Some(text)) => Regex::new(text).map(TextPattern::Found).map_err(|error| {
            Failed::usage(format!("{flag}-regexp is no regular expression")).because(&error)
        }),
        (Some(text), None) => Ok(TextPattern::Exactly(text.to_owned())),
        (None, None) => {
            Err(Failed::usage(format!("{flag} or {flag}-regexp is needed where no --key is given"))
                .help("say who must have signed: --key; or the identity and its issuer"))
        }
    }
}
