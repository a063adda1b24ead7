"""The tables of `results/`: which columns they have, which of those are numbers, and how they are written and read.

Every chart, the workbook and the page read tables through `read`, so that "empty" means one thing: NaN in a column of
numbers, the empty string in a column of words. Columns that a later version adds pass through unharmed.
pandas is imported where a table is read: what measures knows these columns, and its environment may lack pandas.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

from vitbench.errors import UserError
from vitbench.files import plain_cell, safe_cell

if TYPE_CHECKING:
    import pandas as pd

# Columns of words; all the others are numbers.
WORDS = frozenset(
    """source machine model dataset framework variant device status started pass_seconds pass_collecting_seconds
    pass_memory_mb pass_celsius effective_batch_sizes flags
    steady steady_because batches
    partition_rows suspect_because energy_source code packages model_hash data_hash processor library
    product_precision out_of_turn reason accelerator precision
    setting record
    baseline candidate lost duplicated comparison family verdict part stage bound_by method peak_precision peak_library
    kind environment published_verdict our_verdict to_run sizes equal unequal published_baseline
    published_candidate our_baseline our_candidate published_hardware our_machine
    early late reached own_library name what first differing
    image path sha256 file label baseline_label candidate_label
    within_floor speedup_verdict declared fairness
    law residuals hours_from least doubt in_time fewest answer
    objective terms runner_up runner_verdict overturned hours_reason definition changed slowest basis growth""".split()  # noqa: SIM905
)
TRUTHS = frozenset({"passed", "used", "extrapolated", "within_10_percent", "usable", "competing"})

COLUMNS: dict[str, tuple[str, ...]] = {
    table: tuple(columns.split())
    for table, columns in {
        "runs": """source machine protocol model dataset images framework variant device workers batch_size
            effective_batch_size repeat status wall_seconds cold_seconds throughput block order started start_seconds
            load_seconds first_batch_seconds timed_passes pass_seconds pass_collecting_seconds pass_memory_mb
            pass_celsius steady
            short_passes short_pass_seconds
            warm_up_images warm_up_seconds last_change steady_because threads slots partitions effective_batch_sizes
            peak_memory_mb total_seconds accuracy flags reason accelerator precision setting
            batches waves partition_rows attempts set_aside_seconds quiet_seconds canary_gemm canary_decode steal_share
            foreign_cpu_share suspect_because peak_gpu_memory_mb energy_joules energy_source code packages model_hash
            data_hash processor library product_precision declared cores machines out_of_turn record""",
        "summary": """source machine protocol model dataset images framework variant device workers batch_size
            effective_batch_size status repeats median low high cv throughput throughput_low throughput_high cold_median
            start_median load_median accuracy precision setting set_aside flags""",
        "time_budget": "part seconds share",
        "stages": """framework variant device workers batch_size dataset images stage seconds share sum_seconds
            wall_seconds difference within_10_percent bound_by method status reason""",
        "slowest_stage": """framework variant device workers dataset batch_size throughput decode_rate
            preprocess_rate forward_rate slowest slowest_rate share basis reason""",
        "physics": """machine model dataset framework variant device workers batch_size throughput precision
            gflop_per_image gflops peak_gflops peak_precision peak_library share_of_peak own_library own_gflops
            share_of_own decode_per_core decode_ceiling
            verdict""",
        "images": "dataset name used what images first",
        "best_batch_size": "framework variant device workers batch_size median kept reason",
        "parity": """dataset baseline candidate images compared agreement lost duplicated baseline_accuracy
            candidate_accuracy probability_difference passed reason differing""",
        "disagreements": """dataset baseline candidate image path sha256 file label baseline_label candidate_label
            baseline_score candidate_score blocks""",
        "speedup": """baseline candidate dataset speedup low high verdict blocks faster_blocks p_holm family
            margin smallest_detectable blocks_needed hours_needed growth floor floor_low floor_high images
            baseline_throughput candidate_throughput agreement comparison fairness baseline_trials candidate_trials
            reason""",
        "replication": """kind part environment dataset baseline candidate published published_low published_high
            published_verdict ours ours_low ours_high blocks our_verdict verdict reason to_run sizes difference equal
            unequal published_baseline published_candidate our_baseline our_candidate published_hardware our_machine""",
        "replication_curves": """part environment dataset framework variant device workers batch_size published
            published_low published_high ours ours_low ours_high blocks verdict reason""",
        "break_even": """device workers early late break_even low high blocks blocks_never verdict early_fixed_seconds
            late_fixed_seconds early_seconds_an_image late_seconds_an_image measured_images extrapolated reason""",
        "sustained": """dataset images framework variant device workers batch_size repeat canary_gemm minute throughput
            memory_mb collecting_share celsius""",
        "data_set_sizes": """framework variant device workers batch_size dataset images blocks seconds_an_image
            seconds_low seconds_high ratio ratio_low ratio_high verdict floor within_floor baseline speedup speedup_low
            speedup_high speedup_verdict reason""",
        "total_time": """framework variant device workers batch_size blocks data_sets smallest largest fixed_seconds
            fixed_low fixed_high seconds_an_image each_low each_high hours hours_low hours_high departure
            departure_images lack_of_fit_p reason""",
        "advice": """objective framework variant device workers batch_size candidate precision terms cores used_cores
            images throughput speedup low high verdict blocks fairness agreement peak_memory_mb memory_ratio memory_low
            memory_high memory_blocks baseline candidates runner_up runner_ratio runner_low runner_high runner_blocks
            runner_verdict overturned hours hours_low hours_high hours_reason definition reason""",
        "steps": """framework variant device workers batch_size step changed candidate baseline precision images
            throughput speedup low high verdict blocks total total_low total_high total_blocks agreement reason""",
        "trials": """framework variant device workers batch_size dataset images competing status throughput
            agreement usable definition reason""",
        "effective_batches": """dataset images framework variant device workers batch_size repeats alike
            effective_batch_size effective_batch_sizes batches partition_rows partitions slots waves wave_factor reached
            reason""",
        "scaling": """source framework variant device workers batch_size dataset images base_workers blocks
            wall_seconds throughput throughput_low throughput_high speedup speedup_low speedup_high efficiency
            efficiency_low efficiency_high start_seconds load_seconds waves reason""",
        "scaling_fits": """source framework variant device law points fewest_workers most_workers blocks one_seconds
            one_low one_high contention contention_low contention_high coherency coherency_low coherency_high
            peak_workers residual residual_workers residuals lack_of_fit_p reach reason""",
        "cost": """source framework variant device workers batch_size machine machines images hours hours_low hours_high
            hours_from machine_hours start_minutes usd_per_hour usd usd_low usd_high least doubt reason""",
        "compare": """kind baseline candidate dataset speedup low high verdict baseline_repeats candidate_repeats p_holm
            margin smallest_detectable blocks_needed floor floor_low floor_high images baseline_throughput
            candidate_throughput agreement reason""",
        "machines": """model protocol dataset images framework variant device workers batch_size source machine repeats
            throughput throughput_low throughput_high speedup low high verdict""",
        "plan": """source framework variant device workers batch_size machine times machines images deadline_hours hours
            hours_low hours_high hours_from in_time fewest machine_hours start_minutes usd_per_hour usd usd_low usd_high
            measured_images answer doubt reason""",
    }.items()
}


def as_csv(frame: pd.DataFrame) -> str:
    """The text of a CSV file: whole numbers without a point, and no cell that a spreadsheet takes for a formula.

    Labels and names of files come from anywhere; `read` gives them back as they were, but for a carriage return, which
    becomes a line feed: unquoted as pandas writes it, it would end the row.
    """

    def safe(value: object) -> object:
        return safe_cell(value.replace("\r\n", "\n").replace("\r", "\n")) if isinstance(value, str) else value

    return frame.map(safe).convert_dtypes().to_csv(index=False)


def read(path: str | Path, table: str | None = None) -> pd.DataFrame:
    """The table in the CSV file `path`; `table` names it (a key of `COLUMNS`) where the file's own name does not.

    Words are strings ("" where empty), numbers float64 (NaN where empty), columns in TRUTHS are True or False.
    Raises `UserError` for a file that is missing, lacks columns or has a word where a number belongs.
    """
    import pandas as pd

    path = Path(path)
    expected = COLUMNS[table or path.stem]
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} is missing; let Snakemake make it: snakemake {path}") from None
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a readable CSV table ({error}); remove it and run snakemake again") from None
    frame = frame.map(lambda cell: plain_cell(cell) if isinstance(cell, str) else cell)
    absent = [column for column in expected if column not in frame]
    if absent:
        raise UserError(f"{path} lacks the columns {', '.join(absent)}; remove it and run snakemake again")
    for column in expected:
        if column in TRUTHS:
            frame[column] = frame[column].str.strip().str.lower() == "true"
        elif column not in WORDS:
            frame[column] = _numbers(frame[column], path)
    return frame


def read_context(path: str | Path) -> dict:
    """The content of `results/provenance/context.json`; raises `UserError` where it is missing or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; let Snakemake make it: snakemake {path}") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON ({error}); remove it and run snakemake again") from None


def _numbers(column: pd.Series, path: Path) -> pd.Series:
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    wrong = column[numbers.isna() & ~column.str.strip().str.lower().isin({"", "nan"})]
    if len(wrong):
        line = wrong.index[0] + 2
        raise UserError(f"{path}, line {line}, column {column.name}: {wrong.iloc[0]!r} is not a number")
    return numbers
