"""Makes tenants.csv: what Google's dp-accounting says that rounds cost in which m nodes of a tenant take part.

The sum is m times as sensitive to all of them, so the noise multiplier of the round is z/m.

    python3 -m venv venv && venv/bin/pip install dp-accounting==0.6.0
    venv/bin/python tenants.py > tenants.csv
"""

from dp_accounting import dp_event, rdp

NOISE_MULTIPLIERS = [1.0, 2.0, 4.0, 10.0]
# Pairs of nodes in a round and rounds: "2*10 1*5" is ten rounds with two nodes, then five with one.
ROUNDS = [[(1, 7)], [(2, 1)], [(3, 10)], [(9, 4)], [(1, 100), (2, 10)], [(1, 3), (2, 5), (3, 7), (4, 2)]]
DELTAS = [1e-5, 1e-7]


def epsilon(noise, rounds, delta):
    accountant = rdp.RdpAccountant()
    for nodes, times in rounds:
        accountant.compose(dp_event.GaussianDpEvent(noise / nodes), times)
    return accountant.get_epsilon(delta)


print("noise_multiplier,rounds,delta,epsilon")
for noise in NOISE_MULTIPLIERS:
    for rounds in ROUNDS:
        words = " ".join(f"{nodes}*{times}" for nodes, times in rounds)
        for delta in DELTAS:
            print(f"{noise},{words},{delta},{epsilon(noise, rounds, delta):.9g}")
