#!/bin/sh
# Signs every payload of SIGNER with Google Cloud KMS. What is signed already is left as it is.
# Usage: sh sign-with-gcloud-kms.sh SIGNER --location=… --keyring=… --key=… --version=…
set -eu
signer=$1
shift
here=$(dirname "$0")
for payload in "$here/$signer"/*.json "$here/$signer"/*.pae; do
  [ -e "$payload" ] || continue
  signature=${payload%.*}.sig
  [ -s "$signature" ] && continue
  gcloud kms asymmetric-sign --digest-algorithm=sha256 \
    --input-file="$payload" --signature-file="$signature.raw" "$@"
  base64 < "$signature.raw" > "$signature.new"
  rm "$signature.raw"
  mv "$signature.new" "$signature"
done
