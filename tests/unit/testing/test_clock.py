import asyncio

from fairlead.testing.clock import START, FakeClock


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_sleepers_wake_in_the_order_of_their_times() -> None:
    clock, woken = FakeClock(), []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.now() - START))

    tasks = [asyncio.create_task(sleep(s)) for s in (3, 1, 2, 0)]
    await settle()
    assert woken == [(0, 0)]
    assert clock.next_due() == START + 1
    clock.advance(2.5)
    await settle()
    assert woken == [(0, 0), (1, 2.5), (2, 2.5)]
    clock.advance_to(START)
    assert clock.monotonic() == 2.5
    clock.advance(1)
    await asyncio.gather(*tasks)
    assert clock.next_due() is None


async def test_a_sleeper_that_gives_up_is_forgotten() -> None:
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(1))
    await settle()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert clock.next_due() is None
