"""Searches, ablations and plans, which run alongside a run.

Their ids are also run ids, so `runs.wait`, `cancel` and the like work with them.
"""

from noisy_student.filters import Since, State, conditions
from noisy_student.operations import Arguments, Body, Resource, operation
from noisy_student.pages import listing
from noisy_student.transport import Way
from service.config.run import EstimateRequest
from service.config.studies import AblationRequest, SearchRequest
from service.views.estimates import EstimateSummary, EstimateView
from service.views.studies import AblationView, SearchView, StudySummary


class Searches(Resource[Way]):
    """Searches for a student's noise and size."""

    @operation("POST", "/searches", SearchView, SearchRequest, once=True)
    def create(self, request: Body, *, idempotency_key: str | None = None) -> Arguments:
        """Starts a search; {"run_id": RUN, "generation": 1} is enough."""
        return Arguments(body=request, idempotency_key=idempotency_key)

    @listing("/searches", StudySummary)
    def list(
        self,
        limit: int | None = None,
        *,
        state: State = None,
        project: str | None = None,
        since: Since = None,
    ) -> Arguments:
        """Lists the searches that were started alongside a run, newest first, filtered as runs are."""
        return Arguments(query={"limit": limit, **conditions(project, since, state)})

    @operation("GET", "/searches/{search_id}", SearchView)
    def get(self, search_id: str) -> Arguments:
        """Returns one search: every trial with its parameters, curve, state and cost, and the winner once known."""
        return Arguments({"search_id": search_id})


class Ablations(Resource[Way]):
    """Ablations, which measure what each part of the method contributes."""

    @operation("POST", "/runs/{run_id}/ablations", AblationView, AblationRequest, once=True)
    def create(self, run_id: str, request: Body | None = None, *, idempotency_key: str | None = None) -> Arguments:
        """Starts an ablation of a run's last student, or of the generation that `request` names."""
        return Arguments({"run_id": run_id}, body=request, idempotency_key=idempotency_key)

    @listing("/runs/{run_id}/ablations", StudySummary)
    def list(
        self,
        run_id: str,
        limit: int | None = None,
        *,
        state: State = None,
        project: str | None = None,
        since: Since = None,
    ) -> Arguments:
        """Lists a run's ablations, newest first, filtered as runs are."""
        return Arguments({"run_id": run_id}, {"limit": limit, **conditions(project, since, state)})

    @operation("GET", "/ablations/{ablation_id}", AblationView)
    def get(self, ablation_id: str) -> Arguments:
        """Returns one ablation: its trainings as they are now, and the table once all have ended."""
        return Arguments({"ablation_id": ablation_id})


class Plans(Resource[Way]):
    """Plans: what a run would cost, before it starts."""

    @operation("POST", "/plans", EstimateView, EstimateRequest, once=True)
    def create(self, request: Body, *, idempotency_key: str | None = None) -> Arguments:
        """Measures the run's stages on a sample of its images and computes the bill. Does not start the run."""
        return Arguments(body=request, idempotency_key=idempotency_key)

    @listing("/plans", EstimateSummary)
    def list(
        self,
        limit: int | None = None,
        *,
        state: State = None,
        project: str | None = None,
        since: Since = None,
    ) -> Arguments:
        """Lists plans, newest first, filtered as runs are."""
        return Arguments(query={"limit": limit, **conditions(project, since, state)})

    @operation("GET", "/plans/{plan_id}", EstimateView)
    def get(self, plan_id: str) -> Arguments:
        """Returns one plan, with its bill once everything is measured."""
        return Arguments({"plan_id": plan_id})
