//! `countersign generate IMAGE`: the payload, to be signed by another tool.

use countersign::exit_code::ExitCode;
use countersign::model::{Annotations, Digest, ImageRef, Repository};
use countersign::payload::SimpleSigning;
use countersign::store::Intent;

use super::args::GenerateArgs;
use super::{Context, Failed, digest_of, pairs, parse, print, store};

/// Prints the payload, without a newline at its end: it would be signed too.
pub(crate) async fn run(args: &GenerateArgs, context: &Context) -> Result<ExitCode, Failed> {
    let image = parse(&args.image)?;
    let annotations = pairs::annotations(&args.annotations)?;
    let session = store(context, &args.registry, &[&image], Intent::Read)?;
    let identity = args.sign_container_identity.as_deref();
    let digest = context.unless_interrupted(digest_of(&image, &*session.store)).await??;
    print(&payload(&image, &digest, identity, &annotations)?)?;
    Ok(ExitCode::Good)
}

/// What `sign` signs.
pub(crate) fn payload(
    image: &ImageRef,
    digest: &Digest,
    identity: Option<&str>,
    annotations: &Annotations,
) -> Result<Vec<u8>, Failed> {
    let identity = match (identity, &image.repository) {
        (Some(identity), _) => identity,
        (None, Repository::Remote(remote)) => remote.as_str(),
        (None, Repository::Layout(_)) => {
            return Err(Failed::usage(format!("{image} is in a layout, which has no name"))
                .help("name the image: --sign-container-identity, or --payload of `attach`"));
        }
    };
    Ok(SimpleSigning { identity, digest, annotations }.to_bytes())
}
