#!/bin/sh
# Signs every payload of SIGNER with a private key in PEM (ECDSA, RSA). What is signed already is left as it is.
# Usage: sh sign-with-openssl.sh SIGNER KEY.pem
set -eu
signer=$1 key=$2
here=$(dirname "$0")
for payload in "$here/$signer"/*.json "$here/$signer"/*.pae; do
  [ -e "$payload" ] || continue
  signature=${payload%.*}.sig
  [ -s "$signature" ] && continue
  openssl dgst -sha256 -sign "$key" -out "$signature.raw" "$payload"
  base64 < "$signature.raw" > "$signature.new"
  rm "$signature.raw"
  mv "$signature.new" "$signature"
done
