"""What other build systems read: a CMSIS-Pack, a Zephyr module, an Arduino library, a folder for STM32Cube."""
