#!/bin/sh
set -e
[ "$1" = v1 ] || { echo '{"errorMessage":"unknown protocol"}'; exit 1; }
value() { printf '%s' "$2" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
number() { printf '%s' "$2" | sed -n "s/.*\"initOptions\":{[^{]*\"$1\":\([0-9]*\).*/\1/p"; }
value methodName "$2" >> "$RUNS"; echo >> "$RUNS"
key=$(value keyResourceID "$2")
case $(number hashFunc "$2") in 5) hash=sha256 ;; 6) hash=sha384 ;; 7) hash=sha512 ;; esac
public() { printf '{"%s":{"publicKeyPEM":"%s"}}\n' "$1" "$(openssl pkey -in "$key" -pubout | base64 | tr -d '\n')"; }
case $(value methodName "$2") in
defaultAlgorithm) echo '{"defaultAlgorithm":{"defaultAlgorithm":"ecdsa-p256"}}' ;;
createKey)
  [ "$(value algorithm "$2")" = ecdsa-p256 ] || { echo '{"errorMessage":"unknown algorithm"}'; exit 0; }
  openssl ecparam -name prime256v1 -genkey -noout -out "$key"
  public createKey ;;
publicKey)
  [ -f "$key" ] || { echo '{"errorMessage":"open the key: no such file or directory"}'; exit 0; }
  public publicKey ;;
signMessage)
  cat > "$RUNS.$$"
  made=$(openssl dgst "-$hash" -sign "$key" "$RUNS.$$" | base64 | tr -d '\n')
  rm "$RUNS.$$"
  printf '{"signMessage":{"signature":"%s"}}\n' "$made" ;;
verifySignature)
  cat > "$RUNS.$$"
  value signature "$2" | base64 -d > "$RUNS.$$.signature"
  openssl pkey -in "$key" -pubout > "$RUNS.$$.key"
  openssl dgst "-$hash" -verify "$RUNS.$$.key" -signature "$RUNS.$$.signature" "$RUNS.$$" > /dev/null ||
    { echo '{"errorMessage":"the signature is not good"}'; exit 0; }
  echo '{"verifySignature":{}}' ;;
*) echo '{"errorMessage":"unknown method"}' ;;
esac
