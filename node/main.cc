#include "node/cli.h"
#include "node/run_node.h"

int main(int argc, char** argv) {
  return dhrt::run_cli(argc, argv, dhrt::run_node);
}
