//! The page of an explanation: every signature there, whose it is, and why it does or does not count.

use std::io::{self, Write};

use crate::plan::{Explained, Explanation, Reason};
use crate::render::Style;
use crate::render::human::lines::{self, Note};
use crate::render::human::sections::count;
use crate::render::style::{Paint, Pen, bold, dim, plain};
use crate::trust::CertificateIdentity;

/// Writes every signature on a subject, and what is wanted and not there.
///
/// # Errors
///
/// Those of `out`.
pub fn explanation(
    explanation: &Explanation,
    style: &Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut pen = Pen::new(style, out);
    let (repository, tag) = &explanation.place;
    pen.line(0, &[bold(explanation.subject.to_string())])?;
    for name in &explanation.names {
        row(&mut pen, 2, "name", &format!("{}  ({})", name.text, name.origin))?;
    }
    row(&mut pen, 2, "signatures", &format!("{repository}:{tag}"))?;
    let carrier = explanation.carrier.as_ref().map(ToString::to_string);
    row(&mut pen, 2, "manifest", carrier.as_deref().unwrap_or("none"))?;
    for moved in &explanation.moved {
        let now = moved.actual.as_ref().map(ToString::to_string);
        let now = now.as_deref().unwrap_or("nothing");
        pen.line(
            2,
            &[(Paint::Magenta, "! ".into()), plain(format!("{} names {now} now", moved.tag))],
        )?;
    }
    for signer in &explanation.hidden {
        let text =
            format!("cosign 3 does not look at the tag for {signer}, because bundles are there");
        let code = " (format::hidden_by_bundle)";
        pen.line(2, &[(Paint::Yellow, "! ".into()), plain(text), dim(code)])?;
    }
    for failure in &explanation.failures {
        pen.line(2, &[(Paint::Red, "x ".into()), plain(&*failure.code)])?;
        lines::write_notes(&mut pen, 6, &lines::of_failure(failure))?;
    }
    for signature in &explanation.signatures {
        pen.blank()?;
        write_signature(&mut pen, signature)?;
    }
    if !explanation.unmet.is_empty() {
        pen.blank()?;
        pen.line(2, &[bold("Wanted, and not there")])?;
        let place = &explanation.subject.repository;
        let unmet = explanation.unmet.iter().map(|it| lines::of_change(&it.change, place));
        lines::write(&mut pen, 4, &unmet.collect::<Vec<_>>())?;
    }
    let counting = explanation.signatures.iter().filter(|it| it.counts.is_ok()).count();
    pen.blank()?;
    let summary = format!(
        "{}, {counting} of them {}; {} wanted and not there",
        count(explanation.signatures.len(), "signature"),
        if counting == 1 { "counts" } else { "count" },
        explanation.unmet.len()
    );
    pen.line(0, &[plain(summary)])
}

fn write_signature(pen: &mut Pen<'_>, signature: &Explained) -> io::Result<()> {
    let number = format!("layer {}  ", signature.position);
    match &signature.counts {
        Ok(want) => {
            let text = format!("counts for {}", want.signer);
            pen.line(2, &[bold(number), (Paint::Green, "= ".into()), plain(text)])?;
        }
        Err(reasons) => {
            let fate = match (signature.standing, signature.goes) {
                (Some(standing), true) => format!(" ({}, an apply removes it)", standing.word()),
                (Some(standing), false) => format!(" ({}, kept)", standing.word()),
                (None, _) => String::new(),
            };
            let text = format!("does not count{fate}");
            pen.line(2, &[bold(number), (Paint::Red, "x ".into()), plain(text)])?;
            for reason in reasons {
                write_reason(pen, reason)?;
            }
        }
    }
    let signer = match (&signature.signer, &signature.key, signature.hash) {
        (Some(signer), Some(_), Some(hash)) if signature.identity.is_some() => {
            format!("{signer}, an identity, {hash}")
        }
        (Some(signer), Some(key), Some(hash)) => format!("{signer}, key {key}, {hash}"),
        (Some(signer), _, _) => signer.to_string(),
        (None, _, _) => "not known".to_owned(),
    };
    row(pen, 6, "signer", &signer)?;
    row(pen, 6, "format", signature.format.name())?;
    row(pen, 6, "payload", &signature.payload.to_string())?;
    match &signature.claim {
        None => row(pen, 6, "says", "not read, or no claim")?,
        Some(claim) => {
            row(pen, 6, "digest", &claim.digest.to_string())?;
            row(pen, 6, "identity", &claim.identity)?;
            let mut annotations = claim.annotations.clone();
            annotations.extend(claim.other.clone());
            if !annotations.is_empty() {
                row(pen, 6, "annotations", &lines::pairs(&annotations))?;
            }
        }
    }
    if let Some(certificate) = &signature.certificate {
        let issuer = CertificateIdentity::read(certificate).ok().map(|it| it.issuer);
        let issuer = issuer.filter(|it| !it.is_empty());
        let text = format!(
            "{}{}, valid from {} to {}, {}",
            certificate.names().join(", "),
            issuer.map(|it| format!(" by {it}")).unwrap_or_default(),
            certificate.not_before(),
            certificate.not_after(),
            certificate.fingerprint().short()
        );
        row(pen, 6, "certificate", &text)?;
    }
    write_evidence(pen, signature)
}

/// The proofs that a signature carries: how many hold, and what does not.
fn write_evidence(pen: &mut Pen<'_>, signature: &Explained) -> io::Result<()> {
    let Explained { carried, evidence, problems, .. } = signature;
    let mut parts = Vec::new();
    for (carried, hold, one, more) in [
        (carried.log_entries, evidence.log_entries, "log entry", "log entries"),
        (carried.timestamps, evidence.timestamps, "timestamp", "timestamps"),
    ] {
        match (carried, hold) {
            (0, _) => {}
            (1, 1) => parts.push(format!("1 {one} that holds")),
            (1, 0) => parts.push(format!("1 {one}, not verified")),
            (carried, hold) => parts.push(format!("{carried} {more}, {hold} of them verified")),
        }
    }
    if let Some(proven) = signature.proven {
        parts.push(format!("proven to have existed at {proven}"));
    }
    if !parts.is_empty() {
        row(pen, 6, "evidence", &parts.join(", "))?;
    }
    for problem in problems {
        pen.prose(6, dim("problem      "), &problem.to_string())?;
    }
    Ok(())
}

fn write_reason(pen: &mut Pen<'_>, reason: &Reason) -> io::Result<()> {
    pen.prose(6, plain("because "), &reason.to_string())?;
    if let Reason::Differs(differences) = reason {
        let notes: Vec<Note> = differences.iter().cloned().map(Note::Field).collect();
        lines::write_notes(pen, 8, &notes)?;
    }
    if let Reason::EvidenceUnknown(_, failure)
    | Reason::KeyUnknown(_, failure)
    | Reason::Unreadable(failure) = reason
        && let Some(help) = &failure.help
    {
        lines::write_notes(pen, 8, &[Note::Help(help.clone())])?;
    }
    Ok(())
}

fn row(pen: &mut Pen<'_>, indent: usize, name: &str, value: &str) -> io::Result<()> {
    pen.line(indent, &[dim(format!("{name:11}  ")), plain(value)])
}
