from benchmarks.orchestration import Fleet, simulate

SMALL = Fleet(gpus=4, gpus_per_host=2, cpu_slots=8, clips=6_400, max_parts=64, spread=0.0)
GPU_HOURS = 6_400 * (0.3 + 3.0) / 3600


def test_one_gpu_without_faults_is_idle_only_while_runs_start() -> None:
    alone = Fleet(gpus=1, gpus_per_host=1, clips=640, max_parts=1, spread=0.0, lost_after_h=0, crash_after_h=0)
    found = simulate(alone)
    work_s = 640 * 3.3
    assert found["gpu_hours"] == round(work_s / 3600, 3)
    # two stage runs: each starts in 30 s, after 0 to 2 s; the second is requested after 0 to 3 s
    assert work_s / (work_s + 67) <= found["busy"] + 0.001
    assert found["busy"] - 0.001 <= work_s / (work_s + 60)


def test_faults_cost_time_but_no_work_is_lost_or_counted_twice() -> None:
    calm = simulate(SMALL)
    stormy = simulate(Fleet(**{**SMALL.__dict__, "lost_after_h": 0.5, "crash_after_h": 0.2}))
    assert stormy["hosts_lost"] > 2
    assert stormy["crashes"] > 2
    for found in (calm, stormy):
        assert abs(found["gpu_hours"] - GPU_HOURS) < 0.01
    assert stormy["busy"] < calm["busy"]
