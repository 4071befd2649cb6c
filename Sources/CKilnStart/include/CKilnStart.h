// Registers the devices when the process starts, before main: linking Kiln is all that a program has to do.
#ifndef KILN_CKILNSTART_H
#define KILN_CKILNSTART_H

// Written in Swift, in the module Kiln: makes the CPU the default device. Nothing is opened or probed.
void kiln_register_devices(void);

// Keeps the constructor in the program whatever the linker strips.
void kiln_start_keep(void);

#endif
