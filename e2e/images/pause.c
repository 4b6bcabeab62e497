/* Holds the namespaces of a pod: does nothing, reaps processes whose parents have ended, and ends when it is asked to. */
#include <signal.h>
#include <sys/wait.h>

int main(void) {
  sigset_t awaited;
  int signal;

  sigemptyset(&awaited);
  sigaddset(&awaited, SIGCHLD);
  sigaddset(&awaited, SIGINT);
  sigaddset(&awaited, SIGTERM);
  /* Blocked, they wait until sigwait takes them, also for the first process, to which defaults don't apply. */
  if (sigprocmask(SIG_BLOCK, &awaited, 0) != 0) return 1;
  while (sigwait(&awaited, &signal) == 0 && signal == SIGCHLD)
    while (waitpid(-1, 0, WNOHANG) > 0) {
    }
  return 0;
}
