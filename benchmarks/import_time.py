"""How long does the package take to import, measured against what it stands on?

Prints the median of 5 fresh interpreters for `import sklearn, torch` and for
`import smile_sklearn; smile_sklearn.SMiLERegressor`, and their ratio. Not a test: times depend on the
machine.

    python benchmarks/import_time.py
"""

import statistics
import subprocess
import sys
import time

REPEATS = 5
STATEMENTS = {
    "interpreter": "pass",
    "package": "import smile_sklearn",
    "baseline": "import sklearn, torch",
    "estimator": "import smile_sklearn; smile_sklearn.SMiLERegressor",
}


def seconds_to_run(statement):
    """Return the wall seconds of one fresh interpreter that runs the statement."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main():
    seconds = {name: [] for name in STATEMENTS}
    for statement in STATEMENTS.values():  # fill the disk cache once; not counted
        seconds_to_run(statement)
    for _ in range(REPEATS):  # interleaved, so that a slow moment of the machine hits all alike
        for name, statement in STATEMENTS.items():
            seconds[name].append(seconds_to_run(statement))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    for name, statement in STATEMENTS.items():
        print(f"{median[name]:8.3f} s  {statement}")
    print(f"ratio estimator / baseline: {median['estimator'] / median['baseline']:.2f}")


if __name__ == "__main__":
    main()
