"""Makes pictures through the official `google-genai` SDK and looks at them.

    python witness_google.py BASE_URL API_KEY [MODEL]

BASE_URL is an origin without a path; without arguments GOOGLE_BASE_URL, GOOGLE_API_KEY and GOOGLE_MODEL are read.
Prints lines that begin with `ok`; exits 1 with the reason otherwise.
"""

import io
import os
import sys

from google import genai
from google.genai import errors, types
from PIL import Image


def setting(index, variable, default=None):
    value = sys.argv[index] if len(sys.argv) > index else os.environ.get(variable, default)
    if not value:
        sys.exit(f"missing argument {index} or {variable}")
    return value


def main():
    base_url, key = setting(1, "GOOGLE_BASE_URL"), setting(2, "GOOGLE_API_KEY")
    model = setting(3, "GOOGLE_MODEL", "gemini-nano-banana-2.1")
    for version in ("v1", "v1beta"):
        client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=base_url, api_version=version))
        listed = [entry.name for entry in client.models.list()]
        if f"models/{model}" not in listed:
            sys.exit(f"{model} is not listed: {listed}")
        reference = io.BytesIO()
        Image.new("RGB", (64, 64), "teal").save(reference, "PNG")
        answer = client.models.generate_content(
            model=model,
            contents=[
                "swap the mug for a teapot",
                types.Part.from_bytes(data=reference.getvalue(), mime_type="image/png"),
            ],
            config=types.GenerateContentConfig(
                response_modalities=["IMAGE"],
                image_config=types.ImageConfig(aspect_ratio="3:2", image_size="2K"),
                thinking_config=types.ThinkingConfig(thinking_level="MINIMAL"),
            ),
        )
        parts = [part for part in answer.candidates[0].content.parts if part.inline_data and not part.thought]
        picture = Image.open(io.BytesIO(parts[-1].inline_data.data))
        picture.load()
        width, height = picture.size
        if abs(width / height - 1.5) > 0.05 or not 1500 <= width <= 3000:
            sys.exit(f"expected 3:2 at 2K, got {picture.size}")
        usage = answer.usage_metadata
        modalities = {detail.modality.value: detail.token_count for detail in usage.candidates_tokens_details}
        if not modalities.get("IMAGE"):
            sys.exit(f"no image tokens: {usage}")
        print(f"ok {version} {picture.format} {width}x{height}, {modalities['IMAGE']} image tokens")
        try:
            client.models.generate_content(model="gemini-3-pro-image-preview", contents="x")
            sys.exit("a retired model answered")
        except errors.ClientError as error:
            if error.code != 404 or error.status != "NOT_FOUND":
                sys.exit(f"unexpected error: {error!r}")
        print(f"ok {version} retired model is 404")


if __name__ == "__main__":
    main()
