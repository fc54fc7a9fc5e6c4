"""Verifies a bundle with sigstore's own client: judge.py TRUSTED_ROOT BUNDLE IDENTITY ISSUER; prints what was signed."""
import sys
from pathlib import Path

from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier, policy

root, bundle, identity, issuer = sys.argv[1:]
verifier = Verifier(trusted_root=TrustedRoot.from_file(root))
_, payload = verifier.verify_dsse(
    Bundle.from_json(Path(bundle).read_bytes()),
    policy.Identity(identity=identity, issuer=issuer),
)
print(payload.decode())
