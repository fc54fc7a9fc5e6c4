#!/bin/sh
# Signs every payload of SIGNER with AWS KMS. What is signed already is left as it is.
# Usage: sh sign-with-aws-kms.sh SIGNER KEY_ID ALGORITHM
# ALGORITHM is ECDSA_SHA_256 for a key of P-256, RSASSA_PKCS1_V1_5_SHA_256 for a key of RSA.
set -eu
signer=$1 key=$2 algorithm=$3
here=$(dirname "$0")
for payload in "$here/$signer"/*.json "$here/$signer"/*.pae; do
  [ -e "$payload" ] || continue
  signature=${payload%.*}.sig
  [ -s "$signature" ] && continue
  aws kms sign --key-id "$key" --message "fileb://$payload" --message-type RAW \
    --signing-algorithm "$algorithm" --output text --query Signature > "$signature.new"
  mv "$signature.new" "$signature"
done
