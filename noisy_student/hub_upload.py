"""Uploads a pulled model to a repository of the Hugging Face Hub, by the Hub's own client.

The client takes the token and the address from the places that its documentation names (HF_TOKEN or `hf auth login`,
and HF_ENDPOINT).
"""

from pathlib import Path

from noisy_student.errors import ApiError

_FILES = ("README.md", "config.json", "model.json", "model.safetensors")


def upload_to_hub(folder: Path, repository: str, is_public: bool) -> str:
    """Uploads the model of a pulled folder in one commit to a repository, and returns the commit's address.

    A repository that is not there is made, and is private unless `is_public`. Raises ApiError if the folder is
    no pulled model, there is no token, or the Hub refuses.
    """
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise ApiError(f"{folder} has no {' and no '.join(missing)}: name a folder that `models pull` has made")
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if huggingface_hub.get_token() is None:
        raise ApiError("there is no token of the Hugging Face Hub: set HF_TOKEN, or run `hf auth login`")
    hub = huggingface_hub.HfApi()
    try:
        name = hub.create_repo(repository, private=not is_public, exist_ok=True).repo_id
        commit = hub.upload_folder(
            repo_id=name, folder_path=folder, allow_patterns=list(_FILES), commit_message=f"Upload {folder.name}"
        )
        return str(commit.commit_url)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise ApiError(f"the Hugging Face Hub does not take {repository}: {error}") from error
