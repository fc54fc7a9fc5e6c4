"""AWS KMS on a free loopback port, which is the first line of the output: moto, and what it lacks.

- `Sign` and `Verify` honour `MessageType=DIGEST`, as AWS does; moto hashes once more.
- `POST /faults` with a JSON list of error codes: each of the next requests to KMS is refused with one of them;
  an empty one lets its request through.
- `GET /asked` is a JSON list of the operations that KMS was asked for since the last time.
"""

import json
import threading

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from moto.kms import responses
from moto.kms import utils as keys
from moto.kms.exceptions import ValidationException
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
request = threading.local()


def is_digest():
    return getattr(request, "is_digest", False)


def scheme(key, algorithm):
    hash_ = HASHES[algorithm[-3:]]
    hashed = utils.Prehashed(hash_) if is_digest() else hash_
    if isinstance(key.private_key, ec.EllipticCurvePrivateKey):
        return hash_, (ec.ECDSA(hashed),)
    pss = padding.PSS(padding.MGF1(hash_), hash_.digest_size)
    return hash_, (pss if "PSS" in algorithm else padding.PKCS1v15(), hashed)


def sign(self, message, signing_algorithm):
    hash_, arguments = scheme(self, signing_algorithm)
    if is_digest() and len(message) != hash_.digest_size:
        raise ValidationException(f"Digest is invalid length for algorithm {signing_algorithm}.")
    if len(message) > 4096:
        raise ValidationException("Member must have length less than or equal to 4096")
    return self.private_key.sign(message, *arguments)


def verify(self, message, signature, signing_algorithm):
    try:
        _, arguments = scheme(self, signing_algorithm)
        self.private_key.public_key().verify(signature, message, *arguments)
        return True
    except InvalidSignature:
        return False


def with_message_type(method):
    def wrapped(self, *arguments, **named):
        request.is_digest = self._get_param("MessageType") == "DIGEST"
        try:
            return method(self, *arguments, **named)
        finally:
            request.is_digest = False

    return wrapped


for key in (keys.ECDSAPrivateKey, keys.RSAPrivateKey):
    key.sign, key.verify = sign, verify
kms = responses.KmsResponse
kms.sign, kms.verify = with_message_type(kms.sign), with_message_type(kms.verify)


class Faults:
    def __init__(self, application):
        self.application, self.codes, self.asked = application, [], []

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/faults":
            self.codes = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            start_response("204 No Content", [])
            return [b""]
        if environ["PATH_INFO"] == "/asked":
            asked, self.asked = self.asked, []
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(asked).encode()]
        service, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        if service == "TrentService":
            self.asked.append(operation)
        if self.codes and service == "TrentService":
            code = self.codes.pop(0)
            if not code:
                return self.application(environ, start_response)
            is_inner = "Internal" in code or "Unavailable" in code
            status = "500 Internal Server Error" if is_inner else "400 Bad Request"
            body = {"__type": code, "message": "a fault of the test"}
            start_response(status, [("Content-Type", "application/x-amz-json-1.1")])
            return [json.dumps(body).encode()]
        return self.application(environ, start_response)


class Quiet(WSGIRequestHandler):
    def log(self, *_):
        pass


application = Faults(DomainDispatcherApplication(create_backend_app))
server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
print(server.server_port, flush=True)
server.serve_forever()
