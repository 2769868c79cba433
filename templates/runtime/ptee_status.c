/* SPDX-License-Identifier: Apache-2.0 */
/* Status codes in words; linked only where an application asks for them. */
#include "ptee_runtime.h"

const char *ptee_status_text(ptee_status status)
{
    switch (status) {
    case PTEE_OK:
        return "ok";
    case PTEE_CONTINUE:
        return "the exit did not fire: step again";
    case PTEE_DONE:
        return "an exit fired: the result is valid";
    case PTEE_YIELD:
        return "an op ran: step again";
    case PTEE_DEADLINE:
        return "the next segment does not fit the budget: the result is the best so far";
    case PTEE_NO_INPUT:
        return "no input was given since the last result";
    case PTEE_NULL:
        return "an argument is NULL";
    case PTEE_ARENA_TOO_SMALL:
        return "the arena has too few bytes";
    case PTEE_ARENA_MISALIGNED:
        return "the arena is not aligned to PTEE_ARENA_ALIGN";
    case PTEE_SCRATCH_TOO_SMALL:
        return "the linked CMSIS-NN needs more scratch than was planned: build for its release and core";
    case PTEE_KERNEL:
        return "a CMSIS-NN function refused its arguments";
    case PTEE_BAD_EXIT:
        return "there is no such exit, or it has no threshold";
    case PTEE_BAD_THRESHOLD:
        return "the threshold is outside the range of its exit";
    case PTEE_ENDED:
        return "the last exit was reached: give a new input first";
    case PTEE_NOT_INITIALIZED:
        return "the context was not initialized";
    case PTEE_BAD_POINT:
        return "there is no such operating point";
    case PTEE_REENTERED:
        return "another call with this context was inside: an interrupt needs a context of its own";
    case PTEE_STAGE_TOO_SMALL:
        return "the stage has too few bytes";
    case PTEE_STAGE_MISALIGNED:
        return "the stage is not aligned to NAME_STAGE_ALIGN";
    case PTEE_CORRUPT:
        return "a constant or the context was changed: load the firmware again, or call init";
    case PTEE_GUARD_BROKEN:
        return "bytes beside the arena were overwritten";
    case PTEE_NO_ANSWER:
        return "no exit was evaluated yet, or there is no answer to audit";
    case PTEE_STUCK_COUNTER:
        return "the counter of cycles did not move while a whole segment ran";
    default:
        return "unknown status";
    }
}
