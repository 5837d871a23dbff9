void row_0(dlc_team *team, const float *restrict p0, float *restrict p1, const int64_t n0)
{
    const dlc_range part = dlc_split(team, n0);
    for (int64_t i0 = part.begin; i0 < part.end; ++i0) {
        float *restrict const row7 = (float *)team->scratch;
        float a3 = -INFINITY;
        #pragma omp simd reduction(dlc_max_f32:a3)
        for (int64_t r0_0 = 0; r0_0 < 100; ++r0_0) {
            const float v2 = p0[i0 * 100 + r0_0];
            a3 = dlc_maximum_f32(a3, v2);
        }
        float a8 = 0.0f;
        #pragma omp simd reduction(+:a8)
        for (int64_t r1_0 = 0; r1_0 < 100; ++r1_0) {
            const float v5 = p0[i0 * 100 + r1_0];
            const float v6 = dlc_exp_f32(v5 - a3);
            row7[r1_0] = v6;
            a8 += v6;
        }
        #pragma omp simd
        for (int64_t i1 = 0; i1 < 100; ++i1) {
            const float v9 = row7[i1];
            p1[i0 * 100 + i1] = v9 / a8;
        }
    }
}
