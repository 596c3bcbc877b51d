"""Makes pictures through the official `openai` SDK, plain and streamed, and looks at them.

    python witness_openai.py BASE_URL API_KEY [MODEL]

BASE_URL ends in /v1; without arguments OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_MODEL are read. Works against the
stand-in and against the gateway. Prints lines that begin with `ok`; exits 1 with the reason otherwise.
"""

import base64
import io
import os
import sys

import openai
from PIL import Image


def setting(index, variable, default=None):
    value = sys.argv[index] if len(sys.argv) > index else os.environ.get(variable, default)
    if not value:
        sys.exit(f"missing argument {index} or {variable}")
    return value


def decoded(encoded, size, kind):
    picture = Image.open(io.BytesIO(base64.b64decode(encoded, validate=True)))
    picture.load()
    if picture.size != size or picture.format != kind:
        sys.exit(f"expected {kind} {size}, got {picture.format} {picture.size}")
    return picture


def main():
    client = openai.OpenAI(
        base_url=setting(1, "OPENAI_BASE_URL"), api_key=setting(2, "OPENAI_API_KEY"), max_retries=0
    )
    model = setting(3, "OPENAI_MODEL", "gpt-image-2.5-flare")

    listed = [entry.id for entry in client.models.list()]
    if not listed:
        sys.exit("no models listed")
    print(f"ok models {len(listed)}")

    answer = client.images.generate(
        model=model, prompt="a tin robot watering ferns", size="1536x1024", quality="low", n=2
    )
    pictures = [decoded(item.b64_json, (1536, 1024), "PNG") for item in answer.data]
    usage = answer.usage
    if len(pictures) != 2 or usage.total_tokens != usage.input_tokens + usage.output_tokens:
        sys.exit(f"unexpected answer: {len(pictures)} pictures, {usage}")
    print(f"ok generate {len(pictures)} pictures, {usage.output_tokens} output tokens")

    completed = None
    partials = 0
    for event in client.images.generate(
        model=model, prompt="the same, streamed", size="1024x1024", quality="low", stream=True, partial_images=2
    ):
        if event.type == "image_generation.partial_image":
            partials += 1
        elif event.type == "image_generation.completed":
            completed = event
    if completed is None:
        sys.exit("the stream had no completed event")
    decoded(completed.b64_json, (1024, 1024), "PNG")
    print(f"ok stream {partials} partials, {completed.usage.output_tokens} output tokens")

    reference = io.BytesIO()
    Image.new("RGB", (256, 256), "teal").save(reference, "PNG")
    edited = client.images.edit(
        model=model,
        image=[("one.png", reference.getvalue(), "image/png"), ("two.png", reference.getvalue(), "image/png")],
        prompt="replace the sky with dusk",
        size="1024x1024",
        quality="low",
    )
    decoded(edited.data[0].b64_json, (1024, 1024), "PNG")
    print(f"ok edit, {edited.usage.input_tokens_details.image_tokens} image tokens in")

    try:
        client.images.generate(model="no-such-model", prompt="x")
        sys.exit("an unknown model was accepted")
    except openai.NotFoundError as error:
        if error.code != "model_not_found" or not error.request_id:
            sys.exit(f"unexpected error: {error!r}")
    print("ok unknown model is NotFoundError")


if __name__ == "__main__":
    main()
