"""Where the files of the deployment are, and for which versions of Kubernetes."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
CHART = DEPLOY / "helm" / "noisy-student"
EXAMPLES = sorted((DEPLOY / "examples").glob("*.yaml"))
CONTAINERFILES = sorted((DEPLOY / "images").glob("*.Containerfile"))
KUBERNETES_VERSIONS = ("1.30", "1.34", "1.37")
"""The lowest version that the chart supports, one between, and the highest with available schemas."""
