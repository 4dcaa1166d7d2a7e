"""Makes vectors.csv: what Google's dp-accounting says that the subsampled Gaussian mechanism costs.

    python3 -m venv venv && venv/bin/pip install dp-accounting==0.6.0
    venv/bin/python vectors.py > vectors.csv
"""

from dp_accounting import dp_event, rdp

SAMPLING_RATES = [1.0, 0.5, 0.1, 0.01, 0.001]
NOISE_MULTIPLIERS = [0.5, 0.8, 1.0, 1.5, 2.0, 4.0, 10.0]
STEPS = [1, 10, 100, 1000, 10000]
DELTAS = [1e-3, 1e-5, 1e-7]


def epsilon(rate, noise, steps, delta):
    accountant = rdp.RdpAccountant()
    event = dp_event.GaussianDpEvent(noise)
    if rate < 1:
        event = dp_event.PoissonSampledDpEvent(rate, event)
    accountant.compose(event, steps)
    return accountant.get_epsilon(delta)


print("sampling_rate,noise_multiplier,steps,delta,epsilon")
for rate in SAMPLING_RATES:
    for noise in NOISE_MULTIPLIERS:
        for steps in STEPS:
            for delta in DELTAS:
                print(f"{rate},{noise},{steps},{delta},{epsilon(rate, noise, steps, delta):.9g}")
