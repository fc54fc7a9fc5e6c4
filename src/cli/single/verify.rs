//! `countersign verify IMAGE…`: cosign's form, for images without a spec.
//!
//! The signatures are read and judged by the library, as for a spec; here are cosign's flags and cosign's pages.

use countersign::crypto::SignatureBytes;
use countersign::exit_code::ExitCode;
use countersign::model::{Annotations, Digest, ImageRef, LayoutPath, Repository};
use countersign::observe::{Stored, failure_of, stored};
use countersign::payload::{Claim, Format};
use countersign::plan::{Acceptance, Asked, Claims, Failure, Presented, Trust};
use countersign::render;
use countersign::store::{Intent, LayoutStore};
use countersign::trust::Content;

use super::verified::{self, Verified};
use super::verify_args::{VerifyImageArgs, VerifyOutput};
use super::{
    Context, Failed, Session, bare, digest_of, failed, pairs, parse, print, signature_repository,
    store, trust,
};

/// Verifies images one after another, and prints the payloads of what counts.
pub(crate) async fn run(args: &VerifyImageArgs, context: &Context) -> Result<ExitCode, Failed> {
    let annotations = pairs::annotations(&args.annotations)?;
    let proof = trust::proof(args, context).await?;
    let acceptance = Acceptance {
        trust: trust::trust(args, &proof, context).await?,
        proof,
        claims: if args.check_claims.on { Claims::Checked(annotations) } else { Claims::Unchecked },
        hash: args.signature_digest_algorithm.hash(),
        now: context.clock.now(),
    };
    let mut images = Vec::new();
    for text in &args.image {
        images.push(if args.local_image { local(text).await? } else { parse(text)? });
    }
    let verifier = Verifier { args, context, acceptance };
    for image in &images {
        verifier.image(image).await?;
    }
    Ok(ExitCode::Good)
}

/// The only image of a layout.
async fn local(path: &str) -> Result<ImageRef, Failed> {
    let repository = Repository::Layout(LayoutPath::new(path.trim_start_matches("oci:")));
    let found = LayoutStore::new().only_image(&repository).await;
    let found = found.map_err(|error| failed(&failure_of(&error)))?;
    let digest = found.ok_or_else(|| {
        Failed::new(ExitCode::Error, "image::not_found", format!("{path} does not hold one image"))
            .help("name the image by its tag, without --local-image: oci:PATH:TAG")
    })?;
    Ok(ImageRef { repository, tag: None, digest: Some(digest.digest) })
}

/// What is asked of every image.
struct Verifier<'a> {
    args: &'a VerifyImageArgs,
    context: &'a Context,
    acceptance: Acceptance,
}

impl Verifier<'_> {
    async fn image(&self, image: &ImageRef) -> Result<(), Failed> {
        let session = store(self.context, &self.args.registry, &[image], Intent::Read)?;
        let digest = digest_of(image, &*session.store);
        let digest = self.context.unless_interrupted(digest).await??;
        match &self.args.signature {
            Some(signature) => self.given(image, &digest, signature),
            None => self.stored(image, &digest, &session).await,
        }
    }

    /// Verifies the signature of the command line.
    fn given(&self, image: &ImageRef, digest: &Digest, signature: &str) -> Result<(), Failed> {
        let payload = match &self.args.payload {
            Some(path) => super::read(path)?,
            None => super::generate::payload(image, digest, None, &Annotations::new())?,
        };
        let content = super::attach::content(signature)?;
        let text = std::str::from_utf8(&content).ok();
        let decoded = text.and_then(|it| SignatureBytes::from_base64(it).ok());
        let signature = decoded.unwrap_or_else(|| SignatureBytes::new(content));
        let claim = Claim::parse(&payload).ok();
        let presented = Presented {
            signed: &payload,
            signature: Some(&signature),
            claim: claim.as_ref(),
            certificate: None,
            chain: None,
            content: Content::Message(&payload),
            log_entries: &[],
            timestamps: &[],
            passed_over: None,
        };
        self.acceptance
            .check(&presented, digest)
            .map_err(|why| no_match(image, &[format!("the signature does not count: {why}")]))?;
        self.show(image, digest, &[Verified { payload: &payload, stored: None }])
    }

    /// Verifies what is stored: bundles before the tag, as cosign 3 does.
    async fn stored(
        &self,
        image: &ImageRef,
        digest: &Digest,
        session: &Session,
    ) -> Result<(), Failed> {
        let target = bare(image, digest.clone(), signature_repository(self.context)?);
        let reading = stored(&target, &*session.store);
        let found = self.context.unless_interrupted(reading).await?;
        let (mut reasons, mut good): (Vec<String>, Vec<&Stored>) = (Vec::new(), Vec::new());
        for signature in &found.signatures {
            match self.acceptance.check(&signature.presented(), digest) {
                Ok(()) => good.push(signature),
                Err(why) => {
                    let reason = format!("of a signature, {why}");
                    if !reasons.contains(&reason) {
                        reasons.push(reason);
                    }
                }
            }
        }
        let format = match good.first().map(|it| it.format()) {
            Some(format) => format,
            // What could not be read might have been good.
            None => return Err(nothing(image, &found.unreadable, &reasons, &found.signatures)),
        };
        if format == Format::SimpleSigning && found.has_bundles() {
            self.context.terminal.say(&format!(
                "warning[format::hidden_by_bundle]: cosign 3 does not look at the `.sig` tag of {image}, because \
                 bundles are there: it takes this with `--new-bundle-format=false` only"
            ));
        }
        let good: Vec<Verified<'_>> = good
            .into_iter()
            .filter(|it| it.format() == format)
            .map(|it| Verified { payload: &it.payload, stored: Some(it) })
            .collect();
        self.show(image, digest, &good)
    }

    /// Says on standard error what was checked, and prints the payloads.
    fn show(
        &self,
        image: &ImageRef,
        digest: &Digest,
        verified: &[Verified<'_>],
    ) -> Result<(), Failed> {
        let mut text = format!(
            "\nVerification for {image} --\nThe following checks were performed on each of these signatures:"
        );
        if let Claims::Checked(annotations) = &self.acceptance.claims {
            if !annotations.is_empty() {
                text.push_str("\n  - The specified annotations were verified.");
            }
            text.push_str("\n  - The cosign claims were validated");
        }
        if self.acceptance.proof.log_entry == Asked::Required {
            text.push_str(
                "\n  - Existence of the claims in the transparency log was verified offline",
            );
        }
        if self.acceptance.proof.timestamp == Asked::Required {
            text.push_str("\n  - The signed timestamps were verified against their authorities");
        }
        text.push_str(match &self.acceptance.trust {
            Trust::Key(_) => "\n  - The signatures were verified against the specified public key",
            _ => "\n  - The code-signing certificate was verified using trusted certificate authority certificates",
        });
        self.context.terminal.say(&text);
        if self.args.output == VerifyOutput::Text {
            for certificate in verified.iter().filter_map(Verified::certificate) {
                let names = certificate.alternative_names();
                let name = render::escape(names.first().map(String::as_str).unwrap_or_default());
                self.context.terminal.say(&format!("Certificate subject: {name}"));
            }
        }
        print(&verified::page(verified, image, digest, self.args.output))?;
        Ok(())
    }
}

/// Why an image is not verified: what could not be read comes first, for it might have been good.
fn nothing(
    image: &ImageRef,
    unreadable: &[Failure],
    reasons: &[String],
    found: &[Stored],
) -> Failed {
    if let Some(failure) = unreadable.first() {
        return failed(failure);
    }
    if found.is_empty() {
        let text = format!("{image} carries no signatures");
        return Failed::new(ExitCode::NotAsDeclared, "signature::none", text)
            .help("sign it: countersign sign --key cosign.key IMAGE");
    }
    no_match(image, reasons)
}

fn no_match(image: &ImageRef, reasons: &[String]) -> Failed {
    // Annotations and names are anybody's text.
    let reasons = render::escape(&reasons.join("; ")).to_string();
    let text = format!("no matching signatures on {image}: {reasons}");
    Failed::new(ExitCode::NotAsDeclared, "signature::no_match", text).help(
        "check the key or identity and the annotations; where only a timestamp proves the time (Rekor v2), add --use-signed-timestamps; `countersign download signature` shows what is there",
    )
}
