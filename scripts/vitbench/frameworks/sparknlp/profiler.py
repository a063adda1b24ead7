"""Spark NLP's stages: partial pipelines for what the annotator does not hide, Flight Recorder samples for the rest.

Partial pipelines are run on the same files, session and slots, warm, several times each: the listing of the files;
with their bytes (the difference is `read`); Spark's image source (`decode`); with ImageAssembler (`preprocess`, its
part before the annotator). Their differences are wall seconds.

The annotator does the rest in one piece. Flight Recorder's event jdk.ThreadDump gives the stacks of all threads at one
instant, in native code too: jdk.NativeMethodSample would look at one native thread a tick, which py4j's idle ones
compete for, and jdk.ExecutionSample at five Java ones, so that their counts cannot be added. A dump waits until all
threads are at a safepoint, which moves a sample by microseconds within Java code and not at all in native code.
Each dump stands for the time from halfway since the last to halfway to the next one. That time goes in equal parts to
the tasks that ran (with several slots they share it, so that the stages add up to wall seconds), and to `other` when
none did: Spark plans, or sends the answers to Python.
"""

from __future__ import annotations

import re
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vitbench.frameworks.stages import STAGES

METHOD = "partial pipelines + flight recorder"
PARTIALS = ("list", "read", "decode", "assemble")
# Runs of each partial pipeline, and those before in which the JVM compiles what is new.
PARTIAL_RUNS, UNCOUNTED = 5, 2
# Dumps a pass: enough for shares to a few percent. On passes of a second their cost shows (methodology).
DUMPS, SHORTEST_PERIOD = 120, 0.05
# Passes that take less are repeated, for more dumps, until they take this together.
LEAST_SECONDS = 5
# A frame in a dump.
FRAME = re.compile(r"^\s+at ([^(\s]+)")
RUNNING = "org.apache.spark.executor.Executor$TaskRunner.run"
# Beginnings of frames; the innermost frame of a task that begins like one of these says what the task does. `shown` is
# what the partial pipelines show.
NATIVE = (
    "ai.onnxruntime.OrtSession.run",
    "org.tensorflow.internal.c_api.global.tensorflow.TF_SessionRun",
    "org.tensorflow.Session.run",
    "org.tensorflow.Session$Runner.run",
)
MEANING = (
    *((frame, "forward") for frame in NATIVE),
    # The batch is copied into the engine's tensor, as Hugging Face collates it.
    ("ai.onnxruntime.OnnxTensor.createTensor", "preprocess"),
    ("ai.onnxruntime.TensorInfo.", "preprocess"),
    ("com.johnsnowlabs.ml.tensorflow.TensorResources.create", "preprocess"),
    ("com.johnsnowlabs.nlp.annotators.cv.util.", "preprocess"),
    ("com.johnsnowlabs.ml.ai.ViTClassifier.encode", "preprocess"),
    # Scores out of the tensor, softmax, labels, annotations.
    ("com.johnsnowlabs.ml.ai.ViTClassifier", "postprocess"),
    ("com.johnsnowlabs.nlp.annotators.cv.", "postprocess"),
    ("com.johnsnowlabs.nlp.ImageAssembler", "shown"),
    ("org.apache.spark.ml.image.ImageSchema", "shown"),
    ("org.apache.spark.ml.source.image.", "shown"),
)


def profile(adapter: Any, passes: int) -> dict[str, Any]:
    """Profile passes of a warm Spark NLP adapter; see `vitbench.frameworks`."""
    partial = _timed(_partial_pipelines(adapter))
    shown = shown_seconds({name: statistics.median(seconds) for name, seconds in partial.items()})
    begin = time.perf_counter()
    _classify(adapter)
    period = max(SHORTEST_PERIOD, (time.perf_counter() - begin) / DUMPS)
    intervals, dumps = _recorded(adapter, passes, period)
    profiled, sampled = [], []
    for started, seconds in intervals:
        hidden = sampled_seconds(dumps, started, started + seconds)
        sampled.append(hidden)
        profiled.append({"seconds": seconds, "stages": add_up(shown, hidden)})
    details = {"partial_seconds": partial, "sampled_seconds": sampled, "period_seconds": period, "dumps": len(dumps)}
    return {"method": METHOD, "passes": profiled, "details": details}


def shown_seconds(partial: dict[str, float]) -> dict[str, float]:
    """Seconds of read, decode and preprocess (what comes before the annotator) from those of the partial pipelines."""
    steps = zip(PARTIALS, PARTIALS[1:], ("read", "decode", "preprocess"), strict=False)
    return {stage: max(0.0, partial[longer] - partial[shorter]) for shorter, longer, stage in steps}


def add_up(shown: dict[str, float], hidden: dict[str, float]) -> dict[str, float]:
    """Seconds of each stage: those of the partial pipelines, and from the samples only what these do not show."""
    return {stage: shown.get(stage, 0.0) + hidden.get(stage, 0.0) for stage in STAGES}


def sampled_seconds(dumps: list[tuple[float, str]], begin: float, end: float) -> dict[str, float]:
    """Seconds between two instants by what the tasks did: stages of the annotator, `shown` before it, `other`.

    Args:
        dumps: (instant in seconds since 1970, text of the thread dump), in order of time.
        begin, end: the pass, in seconds since 1970.

    Returns:
        Seconds that add up to `end - begin`; nothing if no dump lies between the two.
    """
    inside = [(instant, text) for instant, text in dumps if begin <= instant <= end]
    if not inside:
        return {}
    instants = [instant for instant, _ in inside]
    middles = [(one + two) / 2 for one, two in zip(instants, instants[1:], strict=False)]
    edges = [begin, *middles, end]
    seconds: Counter[str] = Counter()
    for (_, text), since, until in zip(inside, edges, edges[1:], strict=False):
        doing = doings(text) or ["other"]
        for one in doing:
            seconds[one] += (until - since) / len(doing)
    return dict(seconds)


def doings(dump: str) -> list[str]:
    """What each running Spark task does in a thread dump: a stage of the annotator, `shown`, or `other`."""
    found = []
    for block in re.split(r"\n\s*\n", dump):
        frames = [match[1] for line in block.splitlines() if (match := FRAME.match(line))]
        # An idle thread of the pool keeps the name of its last task.
        if RUNNING in frames:
            found.append(meaning(frames))
    return found


def meaning(frames: list[str]) -> str:
    """What the innermost telling frame of a task's stack means; `other` is Spark's own work with rows."""
    for frame in frames:
        # Modules of the JDK are written before their classes: java.base/java.lang.Thread.run.
        name = frame.rpartition("/")[2]
        for beginning, what in MEANING:
            if name.startswith(beginning):
                return what
    return "other"


def _classify(adapter: Any) -> None:
    for _prediction in adapter.classify():
        pass


def _partial_pipelines(adapter: Any) -> dict[str, Callable[[], Any]]:
    """Name → what runs that much of the pipeline; every row is made and thrown away inside the JVM."""
    from pyspark.ml import PipelineModel

    spark, folder = adapter.spark, adapter.task.images_folder

    def consume(frame: Any) -> None:
        frame.write.format("noop").mode("overwrite").save()

    def files() -> Any:
        return spark.read.format("binaryFile").load(folder)

    assembler = PipelineModel(adapter.pipeline.stages[:1])
    return {
        "list": lambda: consume(files().select("path")),
        "read": lambda: consume(files().select("path", "content")),
        "decode": lambda: consume(adapter.images()),
        "assemble": lambda: consume(assembler.transform(adapter.images())),
    }


def _timed(pipelines: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """Seconds of several runs of each, in turns, so that a drift meets all alike; see UNCOUNTED, PARTIAL_RUNS."""
    seconds: dict[str, list[float]] = {name: [] for name in pipelines}
    for turn in range(UNCOUNTED + PARTIAL_RUNS):
        for name, run in pipelines.items():
            begin = time.perf_counter()
            run()
            if turn >= UNCOUNTED:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def _recorded(adapter: Any, passes: int, period: float) -> tuple[list[tuple[float, float]], list[tuple[float, str]]]:
    """Run passes under Flight Recorder; (begin, seconds) of each, and all thread dumps as (instant, text)."""
    jvm = adapter.spark.sparkContext._jvm
    settings = jvm.java.util.HashMap()
    settings.put("jdk.ThreadDump#enabled", "true")
    settings.put("jdk.ThreadDump#period", f"{1000 * period:.0f} ms")
    recording = jvm.jdk.jfr.Recording()
    recording.setSettings(settings)
    file = Path(adapter.task.temporary) / "profile.jfr"
    intervals = []
    try:
        recording.start()
        _classify(adapter)  # Flight Recorder changes classes when it starts, and the JVM compiles them again
        while len(intervals) < passes or sum(seconds for _, seconds in intervals) < LEAST_SECONDS:
            started, begin = time.time(), time.perf_counter()
            _classify(adapter)
            intervals.append((started, time.perf_counter() - begin))
        recording.stop()
        place = jvm.java.io.File(str(file)).toPath()
        recording.dump(place)
    finally:
        recording.close()
    return intervals, _thread_dumps(jvm, place)


def _thread_dumps(jvm: Any, place: Any) -> list[tuple[float, str]]:
    """The thread dumps of a recording, in order of time."""
    reader = jvm.jdk.jfr.consumer.RecordingFile(place)
    dumps = []
    try:
        while reader.hasMoreEvents():
            event = reader.readEvent()
            if event.getEventType().getName() == "jdk.ThreadDump":
                dumps.append((event.getStartTime().toEpochMilli() / 1000, event.getString("result")))
    finally:
        reader.close()
    return sorted(dumps)
