"""What deploy/check-contract tells schemathesis about requests that no schema can say. Loaded by SCHEMATHESIS_HOOKS.

Schemas know nothing of pixels and grids. So most images that are generated are replaced by real ones, most models by
the one that serves, and a refusal of what a schema allows is let pass where the reason is one that schemas can't state:
each is listed below with the words that the service uses for it, and no other is.
"""

import base64
import os
import random
import re

import schemathesis
from hypothesis import strategies
from schemathesis.core.parameters import ParameterLocation

MODEL = os.environ["HEADWATER_CONTRACT_MODEL"]
VERSION = os.environ["HEADWATER_CONTRACT_VERSION"]
TIMES = os.environ["HEADWATER_CONTRACT_TIMES"].split(",")
IMAGES = [open(path, "rb").read() for path in os.environ["HEADWATER_CONTRACT_IMAGES"].split(":")]

# A body that curl calls a form is an image all the same.
schemathesis.openapi.media_type("application/x-www-form-urlencoded", strategies.sampled_from(IMAGES))

# What the schema allows and the service refuses all the same, by code and words.
BEYOND_SCHEMAS = [
    # That bytes are a picture.
    ("unsupported_image", r""),
    ("unprocessable_image", r""),
    # What the model has.
    ("unknown_tap", r""),
    ("model_not_found", r""),
    # That cells are in as many rows as columns.
    ("invalid_parameter", r"unknown place \"(middle|(down|up)\.\d+):(\d+)x(?!\3\")\d+\""),
    # How parts of a request go together.
    ("invalid_parameter", r"given twice|appears twice|more than (64|512)|^dimensions is \d+, and the model's|"
                          r"numbers together, and a request may have"),
    ("malformed_body", r"data must be a flat array|data is ragged|data mixes|nested too deeply|the shape says|"
                       r"^the shape of pixels must be|not finite in f32|Inference-Header-Content-Length is|"
                       r"requests [a-z]+ twice|bytes follow the JSON|BYTES element|^model_(name|version) is"),
    ("too_many_images", r"^data has more than|^the request contains more than 32 images"),
    # What octet-stream holds is described in words: JSON, or JSON with tensors behind it.
    ("malformed_body", r"^byte \d+ of the JSON|^a number can't|^the JSON|^the body is empty"),
    # What the arrays in a tensor's data hold.
    ("malformed_body", r"^inputs\[0\]\.data(\[\d+\]){2,} must be a number or a string"),
    ("malformed_body", r"is too large a number$"),
    # That bytes are no text that was sent as an image by mistake.
    ("unsupported_media_type", r"^the body is (JSON|a form|a URL-encoded form)"),
    # Whether the file is there, and is a checkpoint.
    ("path_forbidden", r""),
    ("checkpoint_not_found", r""),
    ("checkpoint_rejected", r""),
    ("no_previous_checkpoint", r""),
    ("checkpoint_busy", r""),
    ("model_ambiguous", r""),
    ("model_in_use", r""),
]


def varied(value, chance):
    """Whether to replace a generated value: the same for the same value, so that failures are found again."""
    return random.Random(repr(value)).random() < chance


@schemathesis.hook
def before_call(context, case, kwargs):
    """Replaces most valid values, so that requests get past the first check. Values that are invalid on purpose stay."""

    def is_valid(location):
        return not (case.meta and case.meta.is_negative_at(location))

    if case.path_parameters and is_valid(ParameterLocation.PATH):
        known = {"model": MODEL, "version": VERSION}
        for name, value in case.path_parameters.items():
            if name in known and varied(value, 0.8):
                case.path_parameters[name] = known[name]
    if case.query and isinstance(case.query.get("at"), str) and is_valid(ParameterLocation.QUERY):
        case.query["at"] = ",".join(point(part) for part in case.query["at"].split(","))
    if isinstance(case.body, dict) and is_valid(ParameterLocation.BODY):
        if case.media_type == "application/json" and isinstance(case.body.get("images"), list):
            case.body["images"] = [real(image) for image in case.body["images"]]
        if "input" in case.body:
            given = case.body["input"]
            case.body["input"] = [openai_image(each) for each in given] if isinstance(given, list) else openai_image(given)
            if isinstance(case.body.get("model"), str) and varied(case.body["model"], 0.8):
                case.body["model"] = MODEL
            if varied(given, 0.8):
                case.body.pop("dimensions", None)
        if isinstance(case.body.get("inputs"), list):
            case.body["inputs"] = [tensor(each) for each in case.body["inputs"]]
            for member, known in (("model_name", MODEL), ("model_version", VERSION)):
                if isinstance(case.body.get(member), str) and varied(case.body[member], 0.8):
                    case.body[member] = known


def point(time):
    return TIMES[len(time) % len(TIMES)] if time[:1] in "01" and varied(time, 0.7) else time


def real(text):
    if isinstance(text, str) and varied(text, 0.9):
        encoded = base64.encodebytes if varied(text, 0.3) else base64.b64encode
        uri = "data:image/png;base64," if varied(text + "uri", 0.3) else ""
        return uri + encoded(IMAGES[len(text) % len(IMAGES)]).decode()
    return text


def openai_image(given):
    return {name: real(text) for name, text in given.items()} if isinstance(given, dict) else real(given)


def tensor(each):
    if not isinstance(each, dict) or not isinstance(each.get("data"), list) or not varied(each, 0.9):
        return each
    if each.get("name") == "image":
        return {**each, "shape": [len(each["data"])], "data": [real(text) for text in each["data"]]}
    if each.get("name") == "pixels":
        numbers = [number for number in each["data"] if isinstance(number, (int, float)) and abs(number) < 9] or [0.5]
        return {**each, "shape": [1, 3, 32, 32], "data": [numbers[at % len(numbers)] for at in range(3 * 32 * 32)]}
    return each


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whether what a check found is a failure."""
    if response.status_code == 504:
        # A request with a very short timeout may get 504, whatever else it asks for.
        asked = [float(value) for name, value in (case.headers or {}).items() if name.lower() == "x-request-timeout"]
        if isinstance(case.body, dict) and isinstance(case.body.get("parameters"), dict):
            asked.append((case.body["parameters"].get("timeout") or 60_000_000) / 1e6)
        return not any(seconds < 30 for seconds in asked)
    if "invalid authentication" in failure.title and "got `429" in failure.message:
        # After too many wrong keys from one address, which these are, the next is refused so. The response is the right key's.
        return False
    if type(failure).__name__ != "RejectedPositiveData":
        return True
    try:
        problem = response.json()
    except ValueError:
        return True
    if isinstance(problem.get("error"), dict):
        # OpenAI's form.
        problem = {"code": problem["error"].get("code"), "detail": problem["error"].get("message", "")}
    return not any(problem.get("code") == code and re.search(words, problem.get("detail", ""))
                   for code, words in BEYOND_SCHEMAS)
