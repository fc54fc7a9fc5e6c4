//! Whom `verify IMAGE` trusts, from cosign's flags.

use std::sync::Arc;

use countersign::crypto::{
    Authorities, Certificate, CertificateError, IdentityPattern, TextPattern, Workflow,
};
use countersign::exit_code::ExitCode;
use countersign::plan::{Asked, Required, Trust};
use countersign::trust::TrustedRoot;
use regex::Regex;

use super::verify_args::{IdentityArgs, VerifyImageArgs};
use super::{Context, Failed, ServicesOf, failed, keyless, public_key, read_text};

/// What makes no sense together, told before anything is asked of anybody.
fn check(args: &VerifyImageArgs) -> Result<(), Failed> {
    let flags = &args.identity;
    let named = flags.certificate_identity.is_some() || flags.certificate_identity_regexp.is_some();
    match args.key.is_some() {
        true if named => Err(Failed::usage(
            "--key and --certificate-identity are two ways to say who must have signed",
        )
        .help("leave one of them out")),
        true => Ok(()),
        false => identity(flags).map(drop),
    }
}

/// What must prove a signature, and who vouches for it.
///
/// The trusted root is opened only where something depends on it: the public one costs requests.
pub(crate) async fn proof(args: &VerifyImageArgs, context: &Context) -> Result<Required, Failed> {
    check(args)?;
    let asked = |is_asked| if is_asked { Asked::Required } else { Asked::Ignored };
    let (flags, identity) = (&args.trust, &args.identity);
    let authority = flags.timestamp_certificate_chain.as_deref().map(keyless::chain).transpose()?;
    let (log, timestamp) =
        (!args.ignore_tlog.on, flags.use_signed_timestamps.on || authority.is_some());
    let own = identity.certificate_chain.is_some() || identity.ca_roots.is_some();
    if !log && !timestamp && (args.key.is_some() || own) {
        return Ok(Required::default());
    }
    let named = keyless::trusted_root(flags.trusted_root.as_deref(), context)?;
    let root = match (named, authority) {
        (Some(root), None) => root,
        (Some(root), Some(chain)) => {
            Arc::new(TrustedRoot::clone(&root).with_timestamp_authority(&chain))
        }
        // A timestamp of an authority that is named is all that is asked for.
        (None, Some(chain)) if !log && (args.key.is_some() || own) => {
            Arc::new(TrustedRoot::default().with_timestamp_authority(&chain))
        }
        (None, authority) => {
            let deployment = context.deployment_of(None, ServicesOf::Nobody);
            let opened = context.unless_interrupted(deployment.opened()).await?;
            let root = opened.map_err(|failure| failed(&failure))?.root;
            match authority {
                None => root,
                Some(chain) => Arc::new(TrustedRoot::clone(&root).with_timestamp_authority(&chain)),
            }
        }
    };
    Ok(Required { root: Some(root), log_entry: asked(log), timestamp: asked(timestamp) })
}

/// A key, or authorities and an identity; never both, and never neither.
pub(crate) async fn trust(
    args: &VerifyImageArgs,
    proof: &Required,
    context: &Context,
) -> Result<Trust, Failed> {
    match &args.key {
        Some(key) => Ok(Trust::Key(public_key(key, context).await?)),
        None => certified(&args.identity, proof),
    }
}

fn certified(flags: &IdentityArgs, proof: &Required) -> Result<Trust, Failed> {
    let identity = identity(flags)?;
    let certificate_log = if flags.ignore_sct.on { Asked::Ignored } else { Asked::Required };
    let authorities = match (&flags.certificate_chain, &flags.ca_roots, &proof.root) {
        (Some(path), _, _) => Authorities::of_chain(&keyless::chain(path)?),
        (None, Some(path), _) => {
            let between = flags.ca_intermediates.as_deref().map(keyless::chain).transpose()?;
            Authorities::new(&keyless::chain(path)?, between.as_ref())
        }
        (None, None, root) => {
            let root = Arc::clone(root.as_ref().ok_or_else(|| {
                Failed::usage("nothing says whose certificates to believe")
                    .help("pass --trusted-root, --ca-roots or --certificate-chain")
            })?);
            if let Some(path) = &flags.certificate {
                let text =
                    format!("{} is only looked at under authorities of your own", path.display());
                return Err(Failed::usage(text).help("add --certificate-chain or --ca-roots"));
            }
            return Ok(Trust::Identity { root, identity, certificate_log });
        }
    };
    if certificate_log == Asked::Required {
        return Err(Failed::usage("authorities of your own have no log of certificates").help(
            "add --insecure-ignore-sct; or give authorities and log together: --trusted-root",
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
