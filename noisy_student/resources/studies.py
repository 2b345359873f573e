"""Searches, ablations and plans: what is run beside a run. Their ids are runs' ids: `runs.wait`, `cancel` and the like
work with them."""

from noisy_student.operations import Arguments, Body, Resource, operation
from noisy_student.pages import listing
from noisy_student.transport import Way
from service.config.run import EstimateRequest
from service.config.studies import AblationRequest, SearchRequest
from service.views.estimates import EstimateSummary, EstimateView
from service.views.studies import AblationView, SearchView, StudySummary


class Searches(Resource[Way]):
    """For a student's noise and size."""

    @operation("POST", "/searches", SearchView, SearchRequest, once=True)
    def create(self, request: Body, *, idempotency_key: str | None = None) -> Arguments:
        """Starts a search; {"run_id": RUN, "generation": 1} is enough."""
        return Arguments(body=request, idempotency_key=idempotency_key)

    @listing("/searches", StudySummary)
    def list(self, limit: int | None = None) -> Arguments:
        """All searches beside a run, the newest first."""
        return Arguments(query={"limit": limit})

    @operation("GET", "/searches/{search_id}", SearchView)
    def get(self, search_id: str) -> Arguments:
        """Every trial with its parameters, curve, state and cost; the winner once it is known."""
        return Arguments({"search_id": search_id})


class Ablations(Resource[Way]):
    """What each part of the method is worth."""

    @operation("POST", "/runs/{run_id}/ablations", AblationView, AblationRequest, once=True)
    def create(self, run_id: str, request: Body | None = None, *, idempotency_key: str | None = None) -> Arguments:
        """Starts an ablation of a run's last student, or of the generation that `request` names."""
        return Arguments({"run_id": run_id}, body=request, idempotency_key=idempotency_key)

    @listing("/runs/{run_id}/ablations", StudySummary)
    def list(self, run_id: str, limit: int | None = None) -> Arguments:
        """A run's ablations, the newest first."""
        return Arguments({"run_id": run_id}, {"limit": limit})

    @operation("GET", "/ablations/{ablation_id}", AblationView)
    def get(self, ablation_id: str) -> Arguments:
        """The trainings as they are now; the table once all have ended."""
        return Arguments({"ablation_id": ablation_id})


class Plans(Resource[Way]):
    """The bill of a run before it is started."""

    @operation("POST", "/plans", EstimateView, EstimateRequest, once=True)
    def create(self, request: Body, *, idempotency_key: str | None = None) -> Arguments:
        """Measures the run's stages on a sample of its images, and writes the bill. The run is not started."""
        return Arguments(body=request, idempotency_key=idempotency_key)

    @listing("/plans", EstimateSummary)
    def list(self, limit: int | None = None) -> Arguments:
        """All plans, the newest first."""
        return Arguments(query={"limit": limit})

    @operation("GET", "/plans/{plan_id}", EstimateView)
    def get(self, plan_id: str) -> Arguments:
        """One plan; its bill once everything is measured."""
        return Arguments({"plan_id": plan_id})
