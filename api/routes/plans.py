"""Plans: what can be subscribed to."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.operations import command, query
from kernel.database import Tx
from kernel.paging import Page, Window
from subscriptions import create_plan as verbs
from subscriptions import migrate_plan as migration
from subscriptions import plan_store
from subscriptions.model import Migration, NewMigration, NewPlan, NewVersion, Plan


@query("/v1/plans", scope="plans:read")
async def list_plans(tx: NamedDependency[Tx], window: NamedDependency[Window]) -> Page[Plan]:
    """List plans in their newest version, newest plan first."""
    return await plan_store.plans(tx, window)


@query("/v1/plans/{plan}", scope="plans:read")
async def get_plan(tx: NamedDependency[Tx], plan: FromPath[str]) -> Plan:
    """Read a plan in its newest version, by id or reference."""
    return await plan_store.plan(tx, plan)


@command("/v1/plans", scope="plans:write", status=201)
async def create_plan(tx: NamedDependency[Tx], data: JSONBody[NewPlan]) -> Plan:
    """Make a plan with its first version."""
    return await verbs.create_plan(tx, data)


@command("/v1/plans/{plan}/versions", scope="plans:write", status=201)
async def create_plan_version(
    tx: NamedDependency[Tx], plan: FromPath[str], data: JSONBody[NewVersion]
) -> Plan:
    """Give a plan new terms for new subscriptions; existing ones keep theirs."""
    return await verbs.add_version(tx, plan, data)


@command("/v1/plans/{plan}/migrate", scope="subscriptions:write")
async def migrate_plan(
    tx: NamedDependency[Tx], plan: FromPath[str], data: JSONBody[NewMigration]
) -> Migration:
    """Move subscriptions of older versions to the newest, with their next period or now.

    Now, each is changed by itself a moment later, prorated; see what that comes to with a dry run of
    `change` and `newest_version` on one of them.
    """
    return await migration.migrate_plan(tx, plan, data)


ROUTES = [list_plans, get_plan, create_plan, create_plan_version, migrate_plan]
