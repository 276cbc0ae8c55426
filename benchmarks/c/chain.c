/* The kernel `judge` written by hand in C, on the same tables: decode, filters, alarms, window.
 *
 * The measure for what numba and LLVM make of the Python source. It is the whole chain with every type,
 * order, filter and alarm, not a special case, and gives the same bits: benchmarks/kernels.py compares
 * all tables after the run. "layout.h" is written by it from edge_agent/kernels/layout.py.
 *
 * cc -O3 -ffp-contract=off -shared -fPIC -I DIR chain.c
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "layout.h"

typedef struct {
    const int64_t *config_i;
    const double *config_f;
    int64_t *state_i;
    double *state_f;
} Tables;

/* --- decode --- */

static int64_t word_at(const uint8_t *payload, int64_t at, int swapped)
{
    return swapped ? payload[at + 1] << 8 | payload[at] : payload[at] << 8 | payload[at + 1];
}

static int64_t pair_at(const uint8_t *payload, int64_t at, int low_first, int swapped)
{
    int64_t first = word_at(payload, at, swapped), second = word_at(payload, at + 2, swapped);
    return low_first ? second << 16 | first : first << 16 | second;
}

static uint64_t bits_of(const uint8_t *payload, int64_t address, const int64_t *point)
{
    int64_t place = point[ADDRESS] - address, width = point[WIDTH];
    int low_first = point[LOW_WORD_FIRST] != 0, swapped = point[BYTES_SWAPPED] != 0;
    if (width == 0)
        return payload[place / 8] >> (place % 8) & 1;
    if (width == 1)
        return word_at(payload, place * 2, swapped);
    if (width == 2)
        return pair_at(payload, place * 2, low_first, swapped);
    uint64_t first = pair_at(payload, place * 2, low_first, swapped);
    uint64_t second = pair_at(payload, place * 2 + 4, low_first, swapped);
    return low_first ? second << 32 | first : first << 32 | second;
}

static int64_t bcd(uint32_t bits)
{
    int64_t number = 0;
    for (int shift = 28; shift >= 0; shift -= 4) {
        int digit = bits >> shift & 15;
        if (digit > 9)
            return -1;
        number = number * 10 + digit;
    }
    return number;
}

static int read_integer(const Tables *t, int64_t at, int64_t kind, uint64_t bits)
{
    int64_t raw = (int64_t)bits;
    if (kind == BCD16 || kind == BCD32) {
        raw = bcd((uint32_t)bits);
        if (raw < 0)
            return INVALID;
    } else if (kind == BOOL) {
        raw = raw != 0;
    } else if (kind == S16) {
        raw = (int16_t)bits;
    } else if (kind == S32) {
        raw = (int32_t)bits;
    }
    t->state_i[at + RAW] = raw;
    t->state_f[at + NUMBER] = kind == U64 ? (double)bits : (double)raw;
    return GOOD;
}

static int read_float(const Tables *t, int64_t at, int64_t kind, uint64_t bits)
{
    double number;
    if (kind == F64) {
        memcpy(&number, &bits, 8);
    } else {
        float single;
        uint32_t low = (uint32_t)bits;
        memcpy(&single, &low, 4);
        number = single;
    }
    if (!isfinite(number))
        return INVALID;
    t->state_i[at + RAW] = (int64_t)bits;
    t->state_f[at + NUMBER] = number;
    return GOOD;
}

static int decode(const Tables *t, const uint8_t *payload, int64_t address, int64_t at)
{
    const int64_t *point = t->config_i + at;
    const double *scaling = t->config_f + at;
    int64_t kind = point[TYPE];
    uint64_t bits = bits_of(payload, address, point);
    for (int64_t i = 0; i < point[INVALID_COUNT]; i++)
        if (t->config_i[point[INVALID_AT] + i] == (int64_t)bits)
            return INVALID;
    int quality;
    if (kind == F32 || kind == F64) {
        quality = read_float(t, at, kind, bits);
    } else {
        if (point[SLICE_COUNT] > 0) {
            bits >>= point[SLICE_LOW];
            if (point[SLICE_COUNT] < 64)
                bits &= ((uint64_t)1 << point[SLICE_COUNT]) - 1;
            if (kind == S16 || kind == S32)
                kind = U32;
        }
        quality = read_integer(t, at, kind, bits);
    }
    if (quality >= FIRST_BAD)
        return quality;
    double value = t->state_f[at + NUMBER] * scaling[SCALE] + scaling[OFFSET];
    if (!isfinite(value))
        return INVALID;
    t->state_f[at + VALUE] = value;
    if (point[HAS_PLAUSIBLE] && (value < scaling[PLAUSIBLE_LOW] || value > scaling[PLAUSIBLE_HIGH]))
        return IMPLAUSIBLE;
    return GOOD;
}

static int is_usable(int64_t quality) { return quality == GOOD || quality == CLOCK; }

/* --- filters --- */

/* fdlibm's exp for x <= 0, as in edge_agent/kernels/intrinsics.py */
static double negative_exp(double x)
{
    if (!(x >= -708.0))
        return x < -708.0 ? 0.0 : x;
    int64_t power = (int64_t)(x * 1.44269504088896338700e+00 - 0.5);
    double high = x - power * 6.93147180369123816490e-01, low = power * 1.90821492927058770002e-10;
    double r = high - low, t = r * r;
    double c = r - t * (1.66666666666666019037e-01 + t * (-2.77777777770155933842e-03 +
               t * (6.61375632143793436117e-05 + t * (-1.65339022054652515390e-06 +
               t * 4.13813679705723846039e-08))));
    double y = 1.0 - ((low - (r * c) / (2.0 - c)) - high);
    uint64_t bits = (uint64_t)(power + 1023) << 52;
    double scale;
    memcpy(&scale, &bits, 8);
    return y * scale;
}

static double median(const int64_t *config, int64_t *state, double *cells, double value)
{
    int64_t samples = config[F_SAMPLES], place = state[F_NEXT], filled = state[F_FILLED];
    double *ring = cells + F_RING;
    ring[place] = value;
    state[F_NEXT] = place + 1 >= samples ? 0 : place + 1;
    if (filled < samples)
        state[F_FILLED] = ++filled;
    int64_t rank = (filled - 1) / 2;
    for (int64_t i = 0; i < filled; i++) {
        int64_t below = 0, equal = 0;
        for (int64_t j = 0; j < filled; j++) {
            below += ring[j] < ring[i];
            equal += ring[j] == ring[i];
        }
        if (below <= rank && rank < below + equal)
            return ring[i];
    }
    return value;
}

static double lowpass(const double *config, int64_t *state, double *cells, double value, int64_t mono_ns)
{
    double out = value;
    if (state[F_FILLED]) {
        out = cells[F_OUT];
        int64_t dt_ns = mono_ns - state[F_NS];
        if (dt_ns > 0) {
            double kept = negative_exp(-((double)dt_ns / config[F_PARAMETER])), step = value - out;
            out = isfinite(step) ? out + (1.0 - kept) * step : kept * out + (1.0 - kept) * value;
        }
    }
    state[F_FILLED] = 1;
    state[F_NS] = mono_ns;
    return cells[F_OUT] = out;
}

static double deadband(const double *config, int64_t *state, double *cells, double value)
{
    double held = cells[F_OUT], width = config[F_PARAMETER];
    if (state[F_FILLED] && value - held <= width && held - value <= width)
        return held;
    state[F_FILLED] = 1;
    return cells[F_OUT] = value;
}

static double filter_value(const Tables *t, int64_t at, double value, int64_t mono_ns)
{
    int64_t stage = t->config_i[at + FILTER_AT];
    for (int64_t i = 0; i < t->config_i[at + FILTER_COUNT]; i++, stage += ROW) {
        const int64_t *config_i = t->config_i + stage;
        const double *config_f = t->config_f + stage;
        int64_t *state_i = t->state_i + stage;
        double *state_f = t->state_f + stage;
        if (config_i[F_KIND] == MEDIAN)
            value = median(config_i, state_i, state_f, value);
        else if (config_i[F_KIND] == LOWPASS)
            value = lowpass(config_f, state_i, state_f, value, mono_ns);
        else
            value = deadband(config_f, state_i, state_f, value);
    }
    return value;
}

/* --- alarms --- */

static int holds(const int64_t *config_i, const double *config_f, double value, double slack)
{
    double low = config_f[A_LOW], high = config_f[A_HIGH];
    switch (config_i[A_KIND]) {
    case ABOVE:
    case RATE_ABOVE:
        return value > high - slack;
    case BELOW:
        return value < low + slack;
    case OUTSIDE:
        return value > high - slack || value < low + slack;
    case EQUALS:
        return value - low <= slack && low - value <= slack;
    }
    return 0;
}

static int alarm_step(const Tables *t, int64_t at, double value, int64_t step_ns)
{
    const int64_t *config_i = t->config_i + at;
    const double *config_f = t->config_f + at;
    int64_t *state = t->state_i + at;
    int64_t now = state[A_STATE];
    int raised_before = now == ACTIVE || now == PENDING_OFF;
    int wanted = holds(config_i, config_f, value, raised_before ? config_f[A_DEADBAND] : 0.0);
    if (wanted == raised_before) {
        state[A_STATE] = wanted ? ACTIVE : NORMAL;
        return 0;
    }
    int waiting = now == PENDING_ON || now == PENDING_OFF;
    int64_t elapsed_ns = waiting ? state[A_ELAPSED_NS] + step_ns : 0;
    state[A_ELAPSED_NS] = elapsed_ns;
    if (elapsed_ns < config_i[wanted ? A_ON_DELAY_NS : A_OFF_DELAY_NS]) {
        state[A_STATE] = wanted ? PENDING_ON : PENDING_OFF;
        return 0;
    }
    state[A_STATE] = wanted ? ACTIVE : NORMAL;
    t->state_f[at + A_VALUE] = value;
    return wanted ? RAISED : CLEARED;
}

static int64_t judge_alarms(const Tables *t, int64_t at, int64_t mono_ns, double filtered, int64_t found,
                            int64_t *moves)
{
    const int64_t *before_i = t->state_i + at;
    const double *before_f = t->state_f + at;
    int64_t passed_ns = 0;
    if (before_i[GOOD_NS] != NEVER && mono_ns > before_i[GOOD_NS])
        passed_ns = mono_ns - before_i[GOOD_NS];
    int64_t step_ns = is_usable(before_i[QUALITY]) ? passed_ns : 0;
    int64_t alarm = t->config_i[at + ALARM_AT];
    for (int64_t i = 0; i < t->config_i[at + ALARM_COUNT]; i++, alarm += ROW) {
        int raw_input = t->config_i[alarm + A_RAW_INPUT] != 0;
        double compared = raw_input ? before_f[VALUE] : filtered;
        if (t->config_i[alarm + A_KIND] == RATE_ABOVE) {
            if (passed_ns == 0)
                continue;
            double before = raw_input ? before_f[GOOD_VALUE] : before_f[FILTERED];
            compared = (compared - before) / ((double)passed_ns / 1e9);
        }
        int move = alarm_step(t, alarm, compared, step_ns);
        if (move) {
            moves[found * MOVE] = alarm;
            moves[found * MOVE + 1] = move;
            found++;
        }
    }
    return found;
}

/* --- window --- */

static void window_add(int64_t *state_i, double *state_f, int64_t quality, double value, double filtered)
{
    if (quality > state_i[WORST])
        state_i[WORST] = quality;
    if (!is_usable(quality)) {
        state_i[BAD]++;
        return;
    }
    int64_t count = ++state_i[COUNT];
    if (count == 1) {
        state_f[FIRST] = state_f[MIN] = state_f[MAX] = value;
        state_f[MEAN] = state_f[M2] = 0.0;
    }
    if (value < state_f[MIN])
        state_f[MIN] = value;
    if (value > state_f[MAX])
        state_f[MAX] = value;
    state_f[LAST] = value;
    double mean = state_f[MEAN], step = filtered - mean;
    double moved = isfinite(step) ? mean + step / (double)count
                                  : mean + (filtered / (double)count - mean / (double)count);
    state_f[MEAN] = moved;
    state_f[M2] += step * (filtered - moved);
}

/* --- all of it --- */

static void note_change(const Tables *t, int64_t at, int64_t quality)
{
    int64_t *state_i = t->state_i + at;
    double *state_f = t->state_f + at;
    int changed = quality != state_i[SAID_QUALITY];
    if (quality < FIRST_BAD) {
        if (t->config_i[at + FILTER_COUNT] > 0)
            changed |= state_f[FILTERED] != state_f[SAID];
        else
            changed |= state_i[RAW] != state_i[SAID_RAW];
        state_f[SAID] = state_f[FILTERED];
        state_i[SAID_RAW] = state_i[RAW];
    }
    state_i[SAID_QUALITY] = quality;
    state_i[CHANGED] = changed;
}

int64_t judge(const uint8_t *payload, int64_t address, const int64_t *points, int64_t n, int64_t mono_ns,
              int64_t quality, const int64_t *config_i, const double *config_f, int64_t *state_i,
              double *state_f, int64_t *moves)
{
    const Tables t = {config_i, config_f, state_i, state_f};
    int64_t found = 0;
    for (int64_t k = 0; k < n; k++) {
        int64_t at = points[k] * ROW, judged = quality;
        if (quality < FIRST_BAD) {
            int64_t decoded = decode(&t, payload, address, at);
            judged = decoded > quality ? decoded : quality;
        }
        if (is_usable(judged)) {
            double value = state_f[at + VALUE];
            double filtered = filter_value(&t, at, value, mono_ns);
            found = judge_alarms(&t, at, mono_ns, filtered, found, moves);
            state_f[at + FILTERED] = filtered;
            state_f[at + GOOD_VALUE] = value;
            state_i[at + GOOD_NS] = mono_ns;
        }
        if (config_i[at + WINDOWED])
            window_add(state_i + at, state_f + at, judged, state_f[at + VALUE], state_f[at + FILTERED]);
        state_i[at + QUALITY] = judged;
        state_i[at + POLL_NS] = mono_ns;
        note_change(&t, at, judged);
    }
    return found;
}
