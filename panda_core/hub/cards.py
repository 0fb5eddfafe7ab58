"""Model cards of what is published: one section for each file."""

from pathlib import Path

import huggingface_hub as client
from huggingface_hub import ModelCard, ModelCardData, errors
from yaml import YAMLError

from .errors import HubError, explained

TEMPLATES = Path(__file__).parent / "card_templates"
TAGS = ["panda", "gan", "image-editing"]


def write_card(repo: str, template: str, licence: str, **given) -> str:
    """The card of `repo` with the section that this template makes, new or in place of the one with the same heading.

    given: what the template asks for; licence: of a new card. Raises: HubError.
    """
    name = "as-the-generator" if licence == "other" else None
    data = ModelCardData(license=licence, license_name=name, tags=TAGS)
    new = ModelCard.from_template(data, str(TEMPLATES / template), repo=repo, **given)
    card, section = read_card(repo) or new, new.text.partition("\n## ")[2] + "\n"
    head, *others = card.text.split("\n## ")
    kept = [other for other in others if other.partition("\n")[0] != section.partition("\n")[0]]
    card.text = "\n## ".join([head, *kept, section])
    return str(card)


def read_card(repo: str) -> ModelCard | None:
    """The card of a model as it is there now; None if there is none. Raises: HubError."""
    missing = (errors.RemoteEntryNotFoundError, errors.RepositoryNotFoundError)
    with explained(repo=repo, file="README.md"):
        try:
            client.get_hf_file_metadata(client.hf_hub_url(repo, "README.md"))  # says at once what is wrong
            return ModelCard.load(repo)
        except missing:
            return None
        except (ValueError, YAMLError) as error:
            raise HubError(
                "corrupt", f"The header of {repo}'s README.md cannot be read; mend it there first."
            ) from error
