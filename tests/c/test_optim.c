/* Tests of optim.c: each optimizer against its formula, one number at a time. */
#include "test.h"

enum { N = 150 }; /* two full slices and one that is not */

static void make_parameters(uint64_t seed, pg_id *ids, double *data, double *grads) {
  for (int i = 0; i < N; i++) {
    ids[i] = leaf(data[i] = random_number(&seed));
    pg_set_grad(ids[i], grads[i] = random_number(&seed), false);
  }
}

static void check_sgd(pg_sgd sgd, bool with_velocity) {
  pg_id ids[N];
  double data[N], grads[N], velocity[N] = {0}, expected_velocity[N] = {0};
  make_parameters(1, ids, data, grads);
  for (int step = 0; step < 3; step++) {
    sgd.first = step == 0;
    CHECK(pg_sgd_step(&sgd, N, ids, with_velocity ? velocity : NULL) == PG_OK);
    for (int i = 0; i < N; i++) {
      double g = (sgd.maximize ? -grads[i] : grads[i]) + sgd.weight_decay * data[i], *v = &expected_velocity[i];
      if (with_velocity) {
        *v = step == 0 ? g : sgd.momentum * *v + (1 - sgd.dampening) * g;
        g = sgd.nesterov ? g + sgd.momentum * *v : *v;
      }
      data[i] -= sgd.lr * g;
      REQUIRE(near(pg_data(ids[i]), data[i], 1e-15));
      REQUIRE(near(velocity[i], *v, 1e-15));
    }
  }
  pg_release_all(N, ids);
}

TEST(sgd_is_that_of_the_formula) {
  check_sgd((pg_sgd){.lr = 0.1}, false);
  check_sgd((pg_sgd){.lr = 0.1, .weight_decay = 0.01}, false);
  check_sgd((pg_sgd){.lr = 0.1, .momentum = 0.9}, true);
  check_sgd((pg_sgd){.lr = 0.1, .momentum = 0.9, .dampening = 0.3, .weight_decay = 0.2}, true);
  check_sgd((pg_sgd){.lr = 0.1, .momentum = 0.9, .nesterov = true}, true);
  check_sgd((pg_sgd){.lr = 0.1, .momentum = 0.9, .weight_decay = 0.2, .maximize = true}, true);
}

static void check_adam(pg_adam adam, bool with_largest) {
  pg_id ids[N];
  double data[N], grads[N], mean[N] = {0}, square[N] = {0}, largest[N] = {0}, m[N] = {0}, v[N] = {0},
                            l[N] = {0};
  make_parameters(2, ids, data, grads);
  for (uint64_t t = 1; t <= 3; t++) {
    CHECK(pg_adam_step(&adam, t, N, ids, mean, square, with_largest ? largest : NULL) == PG_OK);
    for (int i = 0; i < N; i++) {
      const double g =
          (adam.maximize ? -grads[i] : grads[i]) + (adam.decoupled ? 0 : adam.weight_decay * data[i]);
      data[i] *= adam.decoupled ? 1 - adam.lr * adam.weight_decay : 1;
      m[i] = adam.beta1 * m[i] + (1 - adam.beta1) * g;
      v[i] = adam.beta2 * v[i] + (1 - adam.beta2) * g * g;
      const double unbiased = m[i] / (1 - pow(adam.beta1, (double)t));
      l[i] = with_largest && l[i] > v[i] ? l[i] : v[i];
      data[i] -= adam.lr * unbiased / (sqrt(l[i] / (1 - pow(adam.beta2, (double)t))) + adam.eps);
      REQUIRE(near(pg_data(ids[i]), data[i], 1e-14));
      REQUIRE(!with_largest || near(largest[i], l[i], 1e-15));
    }
    for (int i = 0; i < N; i++) { /* some grads become smaller, so that the largest square is an older one */
      pg_set_grad(ids[i], grads[i] *= i % 3 ? 0.1 : -1, false);
    }
  }
  pg_release_all(N, ids);
}

TEST(adam_is_that_of_the_paper) {
  const pg_adam adam = {.lr = 0.01, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
  pg_adam decayed = adam, decoupled = adam;
  decayed.weight_decay = decoupled.weight_decay = 0.1;
  decoupled.decoupled = true;
  check_adam(adam, false);
  check_adam(decayed, false);
  check_adam(decoupled, false);
  check_adam(decayed, true);
  decayed.maximize = decoupled.maximize = true;
  check_adam(decayed, true);
  check_adam(decoupled, false);
}

static void check_rmsprop(pg_rmsprop rule, bool with_mean) {
  pg_id ids[N];
  double data[N], grads[N], square[N] = {0}, mean[N] = {0}, velocity[N] = {0}, v[N] = {0}, m[N] = {0},
                            kept[N] = {0};
  make_parameters(4, ids, data, grads);
  for (int step = 0; step < 3; step++) {
    CHECK(pg_rmsprop_step(&rule, N, ids, square, with_mean ? mean : NULL, rule.momentum ? velocity : NULL) ==
          PG_OK);
    for (int i = 0; i < N; i++) {
      const double g = (rule.maximize ? -grads[i] : grads[i]) + rule.weight_decay * data[i];
      v[i] = rule.alpha * v[i] + (1 - rule.alpha) * g * g;
      m[i] = rule.alpha * m[i] + (1 - rule.alpha) * g;
      kept[i] = rule.momentum * kept[i] + g / (sqrt(v[i] - (with_mean ? m[i] * m[i] : 0)) + rule.eps);
      data[i] -= rule.lr * kept[i];
      REQUIRE(near(pg_data(ids[i]), data[i], 1e-13));
    }
  }
  pg_release_all(N, ids);
}

TEST(rmsprop_is_that_of_the_formula) {
  const pg_rmsprop plain = {.lr = 0.01, .alpha = 0.9, .eps = 1e-8};
  pg_rmsprop full = plain;
  full.weight_decay = 0.1, full.momentum = 0.8, full.maximize = true;
  check_rmsprop(plain, false);
  check_rmsprop(plain, true);
  check_rmsprop(full, false);
  check_rmsprop(full, true);
}

TEST(no_parameter_is_updated_if_one_is_gone) {
  pg_id ids[N];
  double data[N], grads[N], buffer[N] = {0}, other[N] = {0};
  make_parameters(3, ids, data, grads);
  release(ids[N - 1]);
  CHECK(pg_sgd_step(&(pg_sgd){.lr = 1}, N, ids, buffer) == PG_STALE);
  CHECK(pg_adam_step(&(pg_adam){.lr = 1}, 1, N, ids, buffer, other, NULL) == PG_STALE);
  CHECK(pg_rmsprop_step(&(pg_rmsprop){.lr = 1}, N, ids, buffer, other, NULL) == PG_STALE);
  CHECK(pg_add_grads(N, ids, data) == PG_STALE);
  for (int i = 0; i < N - 1; i++) {
    REQUIRE(pg_data(ids[i]) == data[i] && pg_grad(ids[i]) == grads[i] && buffer[i] == 0 && other[i] == 0);
  }
  CHECK(pg_add_grads(N - 1, ids, data) == PG_OK);
  CHECK(pg_grad(ids[7]) == grads[7] + data[7]);
  pg_release_all(N - 1, ids);
}

TEST(no_parameter_is_updated_if_one_was_not_reached) {
  static const uint32_t ones[4] = {1, 1, 1, 1}, parts[2] = {1, 3};
  const double numbers[4] = {1, 2, 3, 4};
  pg_id ids[4];
  double mean[4] = {0}, square[4] = {0};
  for (int i = 0; i < 4; i++) {
    ids[i] = leaf(numbers[i]);
  }
  pg_sgd sgd = {.lr = 1, .weight_decay = 0.5, .parameters = 4, .sizes = ones};
  pg_adam adam = {.lr = 1, .weight_decay = 0.5, .parameters = 4, .sizes = ones};
  const double grads[4] = {0, 1, 0, 0};
  CHECK(pg_add_grads(2, ids, grads) == PG_OK);
  CHECK(pg_sgd_step(&sgd, 4, ids, NULL) == PG_SOME_UNREACHED);
  CHECK(pg_adam_step(&adam, 1, 4, ids, mean, square, NULL) == PG_SOME_UNREACHED);
  CHECK(pg_data(ids[0]) == 1 && pg_data(ids[1]) == 2 && mean[1] == 0 && square[1] == 0);
  sgd.parameters = 2;
  sgd.sizes = parts;
  CHECK(pg_sgd_step(&sgd, 4, ids, NULL) == PG_OK); /* of the second, one leaf was reached */
  CHECK(pg_data(ids[0]) == 0.5 && pg_data(ids[1]) == 0 && pg_data(ids[3]) == 2);
  CHECK(pg_fill(PG_GRAD, 1, ids, 0) == PG_OK);
  CHECK(pg_sgd_step(&sgd, 4, ids, NULL) == PG_SOME_UNREACHED);
  sgd.parameters = 0;
  CHECK(pg_sgd_step(&sgd, 1, ids, NULL) == PG_OK && pg_data(ids[0]) == 0.25);
  pg_release_all(4, ids);
}
