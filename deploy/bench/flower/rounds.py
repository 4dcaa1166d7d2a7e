"""Rounds of Flower without training: FedAvg by its default workflow, SecAgg+ by its `SecAggPlusWorkflow` and
`secaggplus_mod`, as its documentation uses them.

    GLASSHOUSE_ROUNDS='{"out": FILE, "clients": 8, "seconds": 60, "cases": [["fedavg", 7000, 0, 3], ...]}' \
        python rounds.py            # in the simulation; in a deployment `flwr run` takes the same environment

A case is algorithm, parameters, dropouts, rounds. For each round a line goes to FILE:
{"algorithm": ..., "parameters": ..., "dropped": ..., "ms": ...}. In the simulation one round before them warms up
(Ray starts its actors) and is not counted. No case begins after so many seconds from then.
"""

import json
import os
import time

import numpy as np
from flwr.client import NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.clientapp import ClientApp
from flwr.common import FitIns, ndarrays_to_parameters
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS
from flwr.server import LegacyContext, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow
from flwr.server.workflow.default_workflows import default_fit_workflow
from flwr.serverapp import ServerApp

EXAMPLES = 200


class Idle(NumPyClient):
    """Has its update ready."""

    def fit(self, parameters, config):
        if config.get("drops"):
            raise RuntimeError("the benchmark wants it to drop out")
        # As ours: parameter p moves by (p mod 97) / 9700.
        moves = np.arange(parameters[0].size, dtype=np.float32) % 97 / np.float32(9700)
        return [parameters[0] + moves], EXAMPLES, {}


def secure_where_asked(message, context, call_next):
    """One app for both algorithms: messages of a secure round have its configuration with them."""
    if RECORD_KEY_CONFIGS in message.content.config_records:
        return secaggplus_mod(message, context, call_next)
    return call_next(message, context)


client = ClientApp(client_fn=lambda _: Idle().to_client(), mods=[secure_where_asked])
server = ServerApp()


class Dropping(FedAvg):
    """FedAvg over everybody; the first few are told to drop out instead of sending an update."""

    def __init__(self, clients, parameters, dropped):
        super().__init__(
            fraction_fit=1.0,
            fraction_evaluate=0.0,
            min_fit_clients=clients,
            min_available_clients=clients,
            initial_parameters=ndarrays_to_parameters([np.zeros(parameters, dtype=np.float32)]),
        )
        self.dropped = dropped
        self.results = 0

    def configure_fit(self, server_round, parameters, client_manager):
        asked = super().configure_fit(server_round, parameters, client_manager)
        asked.sort(key=lambda pair: pair[0].node_id)
        # To each its own: FedAvg hands one and the same object to all.
        return [
            (proxy, FitIns(instructions.parameters, {"drops": number < self.dropped}))
            for number, (proxy, instructions) in enumerate(asked)
        ]

    def aggregate_fit(self, server_round, results, failures):
        self.results = len(results)
        return super().aggregate_fit(server_round, results, failures)


@server.main()
def main(grid, context):
    plan = json.loads(os.environ["GLASSHOUSE_ROUNDS"])
    # In a deployment every message gets a process of its own: nothing stays warm.
    warm_up = [] if "done" in plan else [["fedavg", 1000, 0, 1]]
    end = time.monotonic() + plan["seconds"]
    for at, (algorithm, parameters, dropped, rounds) in enumerate(warm_up + plan["cases"]):
        warms_up = at < len(warm_up)
        if time.monotonic() > end:
            break
        inner = default_fit_workflow
        if algorithm == "secure":
            # All are neighbours of all, and six of eight are needed: ours asks for as many.
            inner = SecAggPlusWorkflow(num_shares=1.0, reconstruction_threshold=0.75)
        strategy = Dropping(plan["clients"], parameters, dropped)

        def fit(grid, context):
            begin = time.perf_counter()
            inner(grid, context)
            ms = (time.perf_counter() - begin) * 1e3
            if strategy.results != plan["clients"] - dropped:
                raise RuntimeError(f"{strategy.results} updates in a round with {dropped} dropouts")
            if warms_up:
                return
            line = {"algorithm": algorithm, "parameters": parameters, "dropped": dropped, "ms": ms}
            with open(plan["out"], "a") as out:
                print(json.dumps(line), file=out, flush=True)

        config = ServerConfig(num_rounds=rounds)
        legacy = LegacyContext(context=context, config=config, strategy=strategy)
        DefaultWorkflow(fit_workflow=fit)(grid, legacy)
        if warms_up:
            end = time.monotonic() + plan["seconds"]
    if "done" in plan:
        open(plan["done"], "w").close()


if __name__ == "__main__":
    from flwr.simulation import run_simulation

    clients = json.loads(os.environ["GLASSHOUSE_ROUNDS"])["clients"]
    # Ray's actors: as many as there are processors.
    resources = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}}
    run_simulation(server_app=server, client_app=client, num_supernodes=clients, backend_config=resources)
