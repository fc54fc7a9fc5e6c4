"""Stands in for `gcloud kms`, which no package registry has: two of its commands, with its flags, over Google's client.

Like gcloud it takes the project, the endpoint and the token from CLOUDSDK_CORE_PROJECT,
CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS and CLOUDSDK_AUTH_ACCESS_TOKEN_FILE.
"""

import argparse
import hashlib
import os
import pathlib
import sys

from google.cloud import kms_v1
from google.oauth2.credentials import Credentials


def arguments():
    parser = argparse.ArgumentParser(prog="gcloud kms")
    commands = parser.add_subparsers(dest="command", required=True)
    sign = commands.add_parser("asymmetric-sign")
    sign.add_argument("--digest-algorithm", choices=["sha256"], required=True)
    sign.add_argument("--input-file", type=pathlib.Path, required=True)
    sign.add_argument("--signature-file", type=pathlib.Path, required=True)
    sign.add_argument("--version", required=True)
    get = commands.add_parser("get-public-key")
    get.add_argument("version")
    get.add_argument("--output-file", type=pathlib.Path)
    for command in (sign, get):
        for name in ("--key", "--keyring", "--location"):
            command.add_argument(name, required=True)
    given = sys.argv[1:]
    if given[:1] != ["kms"]:
        sys.exit("only `gcloud kms` is here")
    given = given[1:]
    return parser.parse_args(given[2:] if given[:2] == ["keys", "versions"] else given)


def main():
    given, variables = arguments(), os.environ
    token = pathlib.Path(variables["CLOUDSDK_AUTH_ACCESS_TOKEN_FILE"]).read_text().strip()
    client = kms_v1.KeyManagementServiceClient(
        transport="rest",
        credentials=Credentials(token),
        client_options={"api_endpoint": variables["CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS"].rstrip("/")},
    )
    project = variables["CLOUDSDK_CORE_PROJECT"]
    name = client.crypto_key_version_path(project, given.location, given.keyring, given.key, given.version)
    if given.command == "asymmetric-sign":
        digest = hashlib.sha256(given.input_file.read_bytes()).digest()
        made = client.asymmetric_sign(request={"name": name, "digest": {"sha256": digest}})
        given.signature_file.write_bytes(made.signature)
    else:
        pem = client.get_public_key(name=name).pem
        given.output_file.write_text(pem) if given.output_file else print(pem, end="")


main()
